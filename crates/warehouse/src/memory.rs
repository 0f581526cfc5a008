//! A warehouse in memory, for the tests of what uses one.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Rows, Statement, Warehouse, WarehouseError};

type Answer = Box<dyn FnMut(&[Statement]) -> Result<Vec<Option<Rows>>, WarehouseError> + Send>;

/// Records the transactions it is given and answers as it is told.
///
/// It shows which statements are sent and what is made of the answers. It runs no SQL: that the
/// statements do what they say, under concurrency above all, is for the end-to-end tests.
pub struct RecordingWarehouse {
    transactions: Mutex<Vec<Vec<Statement>>>,
    answer: Mutex<Answer>,
}

impl RecordingWarehouse {
    /// Answers each transaction with what the closure makes of its statements.
    pub fn answering(
        answer: impl FnMut(&[Statement]) -> Result<Vec<Option<Rows>>, WarehouseError> + Send + 'static,
    ) -> Self {
        Self { transactions: Mutex::default(), answer: Mutex::new(Box::new(answer)) }
    }

    /// The transactions so far, in order.
    pub fn transactions(&self) -> Vec<Vec<Statement>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Warehouse for RecordingWarehouse {
    async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Option<Rows>>, WarehouseError> {
        // The same rules as the real one has, so that a batch it would refuse does not pass a test.
        crate::statement::Batch::new(statements.clone())?;
        let results = (self.answer.lock().unwrap_or_else(PoisonError::into_inner))(&statements);
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner).push(statements);
        results
    }
}
