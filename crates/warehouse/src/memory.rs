//! A warehouse in memory, for tests.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::{Rows, Statement, Warehouse, WarehouseError};

type Answered = Result<Vec<Option<Rows>>, WarehouseError>;
type Answer = Box<dyn FnMut(&[Statement]) -> Answered + Send>;

/// Records transactions and returns the answers of a closure.
///
/// It runs no SQL. The end-to-end tests cover the effects of the statements.
pub struct RecordingWarehouse {
    transactions: Mutex<Vec<Vec<Statement>>>,
    answer: Mutex<Answer>,
}

impl RecordingWarehouse {
    /// Returns a warehouse that answers each transaction with the result of the closure.
    pub fn answering(answer: impl FnMut(&[Statement]) -> Answered + Send + 'static) -> Self {
        Self { transactions: Mutex::default(), answer: Mutex::new(Box::new(answer)) }
    }

    /// Returns the transactions so far, in order.
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
        // A batch that the real one refuses fails here, too.
        crate::statement::Batch::new(statements.clone())?;
        let results = (self.answer.lock().unwrap_or_else(PoisonError::into_inner))(&statements);
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner).push(statements);
        results
    }
}
