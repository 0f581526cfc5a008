//! A deterministic executor with a clock of its own.
//!
//! Tasks run on one thread, one after the other, in the order in which they were woken. The clock
//! moves only when no task can run: to the time of the next timer. So a run depends on nothing but
//! its tasks, and an hour takes no time.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{Either, LocalBoxFuture, select};

thread_local! {
    static STATE: RefCell<State> = RefCell::default();
}

#[derive(Default)]
struct State {
    /// The time since the beginning of the run.
    now: Duration,
    /// The number of the next task or timer.
    next: u64,
    tasks: BTreeMap<u64, Task>,
    ready: Arc<Ready>,
    /// The times of timers, with their numbers.
    timers: BinaryHeap<Reverse<(Duration, u64)>>,
    /// The tasks that wait for a timer. A timer without one was cancelled.
    sleepers: BTreeMap<u64, Waker>,
}

struct Task {
    future: LocalBoxFuture<'static, ()>,
    waker: Arc<TaskWaker>,
}

/// The tasks that can run.
#[derive(Default)]
struct Ready(Mutex<VecDeque<u64>>);

impl Ready {
    fn push(&self, task: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
    }

    fn pop(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

struct TaskWaker {
    task: u64,
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        if !self.is_ready.swap(true, Ordering::Relaxed) {
            self.ready.push(self.task);
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn add(&mut self, future: LocalBoxFuture<'static, ()>) {
        let task = self.number();
        let is_ready = AtomicBool::new(false);
        let waker = Arc::new(TaskWaker { task, is_ready, ready: self.ready.clone() });
        waker.clone().wake();
        self.tasks.insert(task, Task { future, waker });
    }

    /// Moves the clock to the next timer, and returns the task that waits for it.
    fn advance(&mut self) -> Option<Waker> {
        loop {
            let Reverse((at, timer)) = self.timers.pop()?;
            if let Some(sleeper) = self.sleepers.remove(&timer) {
                self.now = at;
                return Some(sleeper);
            }
        }
    }
}

fn with<T>(change: impl FnOnce(&mut State) -> T) -> T {
    STATE.with_borrow_mut(change)
}

/// Runs `main` and all tasks that it spawns, until `main` ends. The other tasks are then dropped.
///
/// # Panics
/// When `main` waits for something that never happens.
pub(crate) fn run<T: 'static>(main: impl Future<Output = T> + 'static) -> T {
    let output = Rc::new(RefCell::new(None));
    let slot = output.clone();
    drop(with(std::mem::take));
    spawn(async move {
        let value = main.await;
        *slot.borrow_mut() = Some(value);
    });
    loop {
        while let Some(task) = with(|state| state.ready.pop()) {
            poll(task);
            if let Some(value) = output.borrow_mut().take() {
                // Outside of the borrow: a task that is dropped may use the executor.
                let tasks = with(|state| std::mem::take(&mut state.tasks));
                drop(tasks);
                return value;
            }
        }
        let sleeper = with(State::advance);
        sleeper.expect("a simulation always has a task that can run, or a timer").wake();
    }
}

fn poll(number: u64) {
    // The task is taken out, so that it can spawn others while it runs.
    let Some(mut task) = with(|state| state.tasks.remove(&number)) else { return };
    task.waker.is_ready.store(false, Ordering::Relaxed);
    let waker = Waker::from(task.waker.clone());
    if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        with(|state| state.tasks.insert(number, task));
    }
}

/// Returns the time since the beginning of the run.
pub(crate) fn now() -> Duration {
    with(|state| state.now)
}

/// Runs a task beside the others.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    let future = Box::pin(task);
    with(|state| state.add(future));
}

/// Runs a task beside the others, and returns its output. The task goes on if the returned future
/// is dropped.
pub(crate) fn spawn_for<T: 'static>(
    task: impl Future<Output = T> + 'static,
) -> impl Future<Output = Option<T>> {
    let (sender, receiver) = oneshot::channel();
    spawn(async move {
        let output = task.await;
        // It fails if the receiver was dropped.
        drop(sender.send(output));
    });
    async { receiver.await.ok() }
}

/// Waits for a while.
pub(crate) fn sleep(time: Duration) -> Sleep {
    Sleep { until: now() + time, timer: None }
}

/// Runs `work` for at most `limit`; `None` if it has not ended by then.
pub(crate) async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), sleep(limit)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(_) => None,
    }
}

/// A timer.
pub(crate) struct Sleep {
    until: Duration,
    timer: Option<u64>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let known = self.timer;
        let timer = with(|state| {
            if state.now >= until {
                return None;
            }
            let timer = known.unwrap_or_else(|| {
                let timer = state.number();
                state.timers.push(Reverse((until, timer)));
                timer
            });
            state.sleepers.insert(timer, context.waker().clone());
            Some(timer)
        });
        self.timer = timer.or(known);
        if timer.is_some() { Poll::Pending } else { Poll::Ready(()) }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(timer) = self.timer {
            // The thread may be ending.
            let _ = STATE.try_with(|state| state.borrow_mut().sleepers.remove(&timer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_when_no_task_can_run() {
        let order = run(async {
            let order = Rc::new(RefCell::new(Vec::new()));
            for (name, seconds) in [("c", 3600), ("a", 1), ("b", 60)] {
                let order = order.clone();
                spawn(async move {
                    sleep(Duration::from_secs(seconds)).await;
                    order.borrow_mut().push((name, now().as_secs()));
                });
            }
            sleep(Duration::from_secs(7200)).await;
            order.take()
        });
        assert_eq!(order, [("a", 1), ("b", 60), ("c", 3600)]);
    }

    #[test]
    fn a_cancelled_timer_does_not_move_the_clock() {
        let ended = run(async {
            let late = sleep(Duration::from_secs(10));
            assert_eq!(timeout(Duration::from_secs(1), late).await, None);
            assert_eq!(timeout(Duration::from_secs(100), async { 7 }).await, Some(7));
            sleep(Duration::from_secs(20)).await;
            now()
        });
        assert_eq!(ended, Duration::from_secs(21));
    }

    #[test]
    fn the_output_of_a_task_is_returned_also_later() {
        let output = run(async {
            let task = spawn_for(async { "done" });
            sleep(Duration::from_secs(1)).await;
            task.await
        });
        assert_eq!(output, Some("done"));
    }
}
