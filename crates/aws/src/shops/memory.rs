//! A list of shops in memory.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;

use super::{ShopList, ShopListError, Shops};

/// A list in memory. It counts reads, and fails on request.
#[derive(Debug)]
pub struct MemoryShopList {
    answer: Mutex<Result<Option<Shops>, ShopListError>>,
    requests: AtomicUsize,
}

impl Default for MemoryShopList {
    fn default() -> Self {
        Self { answer: Mutex::new(Ok(None)), requests: AtomicUsize::new(0) }
    }
}

impl MemoryShopList {
    /// Sets what each read returns from now on.
    pub fn set(&self, answer: Result<Option<Shops>, ShopListError>) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// Sets the list to shops without a backfill.
    pub fn set_shops<'a>(&self, shops: impl IntoIterator<Item = &'a str>) {
        let shops =
            shops.into_iter().filter_map(|shop| Some((shop.parse().ok()?, Default::default())));
        self.set(Ok(Some(Shops { shops: shops.collect() })));
    }

    /// Returns the number of reads.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ShopList for MemoryShopList {
    async fn read(&self) -> Result<Option<Shops>, ShopListError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
