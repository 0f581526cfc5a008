//! The warehouse: transactions that take time, fail, and are atomic.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use shoplake_lake::{MemoryStore, Store};
use shoplake_platform::faults::Fault;
use shoplake_warehouse::{Rows, Statement, Warehouse, WarehouseError};

use crate::protocol::decoded::GoldTable;
use crate::protocol::functions::BUCKET;
use crate::protocol::invariants::Invariants;
use crate::protocol::planted::Planted;
use crate::protocol::profile::Outage;
use crate::protocol::random::Random;
use crate::protocol::reached::BadState;
use crate::protocol::world::{ServiceFaults, World};
use crate::rows::Row;
use crate::warehouse::{Tables, copied, failed};

/// The warehouse of the lake.
pub(crate) struct SimulatedWarehouse {
    world: Arc<World>,
    objects: Arc<MemoryStore>,
    faults: ServiceFaults,
    random: Random,
    tables: Mutex<Tables>,
    invariants: Arc<Invariants>,
}

impl SimulatedWarehouse {
    pub(crate) fn new(
        world: &Arc<World>,
        objects: Arc<MemoryStore>,
        invariants: Arc<Invariants>,
    ) -> Arc<Self> {
        Arc::new(Self {
            world: world.clone(),
            objects,
            faults: ServiceFaults::new(world, "warehouse", world.profile.warehouse),
            random: Random::new("transactions", world.seed),
            tables: Mutex::default(),
            invariants,
        })
    }

    /// Returns the tables.
    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the gold object that one of the statements copies.
    fn staged(&self, statements: &[Statement]) -> Result<Option<Arc<GoldTable>>, WarehouseError> {
        let Some((bucket, key)) = copied(statements) else { return Ok(None) };
        let object = self.objects.get(key).now_or_never();
        let object = object.and_then(Result::ok).flatten().filter(|_| bucket == BUCKET);
        let object = object.ok_or_else(|| failed(format!("no object {bucket}/{key}")))?;
        let old = self
            .invariants
            .previous(key)
            .filter(|_| self.world.plants(Planted::CopyReadsOldObject));
        let (etag, bytes) = old.unwrap_or((object.head.etag, object.bytes));
        self.world.decoded.gold(&etag, &bytes).map(Some).map_err(failed)
    }

    /// Runs the statements as one transaction.
    fn commit(&self, statements: &[Statement], staged: &[Row]) -> Vec<Option<Rows>> {
        if self.world.plants(Planted::TransactionsLost) && self.random.percent(20) {
            let mut lost = self.tables().clone();
            return statements.iter().map(|statement| lost.run(statement, staged)).collect();
        }
        let mut tables = self.tables();
        let before = tables.commits();
        let run = statements.iter().map(|statement| tables.run(statement, staged)).collect();
        self.invariants.transaction(&before, &tables);
        run
    }

    /// Returns the statements of which a planted fault leaves something out.
    fn planted(&self, statements: Vec<Statement>) -> Vec<Statement> {
        let is_copy = copied(&statements).is_some();
        let mut planted = Vec::with_capacity(statements.len());
        for statement in statements {
            let sql = statement.sql();
            if self.world.plants(Planted::PartitionNotDeleted) && sql.starts_with("delete from \"")
            {
                continue;
            }
            if self.world.plants(Planted::LoadsIgnoreOrder) {
                if !is_copy && sql.starts_with("select version,") {
                    // The loader looks first: it finds nothing.
                    planted.push(Statement::new("select nothing"));
                    continue;
                }
                let unguarded = Statement::new(sql.replace("planned_at <", "planned_at is not"));
                let parameters = statement.parameters().iter();
                let bound = parameters.fold(unguarded, |statement, (name, value)| {
                    statement.bind(name.clone(), value)
                });
                planted.push(bound);
                continue;
            }
            planted.push(statement);
        }
        planted
    }
}

#[async_trait]
impl Warehouse for SimulatedWarehouse {
    async fn transaction(
        &self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Option<Rows>>, WarehouseError> {
        self.world.call().await;
        let statements = self.planted(statements);
        let first = statements.first().map_or("", Statement::sql).lines().next();
        let first = first.unwrap_or_default().to_owned();
        // The copy comes first and is slow. Meanwhile other transactions commit.
        let gold = self.staged(&statements)?;
        let staged = gold.as_ref().map_or(&[][..], |gold| &gold.rows);
        self.world.call().await;
        let is_out = self.world.is_out(Outage::Warehouse);
        let drawn = self.faults.write("transaction");
        let fault = if is_out { Some(Fault::Refused) } else { drawn };
        self.world.trace(format_args!("transaction {first} {} {fault:?}", staged.len()));
        if fault.is_none_or(Fault::takes_effect) {
            let answer = self.commit(&statements, staged);
            self.world.call().await;
            if fault.is_none() {
                return Ok(answer);
            }
            self.world.reach(BadState::WarehouseAnswerLost);
        } else if self.world.plants(Planted::TransactionsNotAtomic) {
            self.commit(&statements[..statements.len().min(4)], staged);
        }
        self.world.reach(BadState::WarehouseFailed);
        Err(failed("a fault of the simulation"))
    }
}
