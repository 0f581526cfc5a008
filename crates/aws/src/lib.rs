//! The AWS services that functions and connectors use, each as a port: a trait, its AWS
//! implementation and one in memory.
//!
//! | Module | Port | AWS |
//! |---|---|---|
//! | [`dead_letter_queue`] | [`DeadLetterQueue`] | SQS |
//! | [`dirty_queue`] | [`DirtyQueue`] | SQS |
//! | [`events`] | [`EventPublisher`] | EventBridge |
//! | [`executions`] | [`Executions`] | Step Functions |
//! | [`secrets`] | [`Secrets`], [`SecretStore`] | Parameter Store |
//! | [`shops`] | [`ShopList`] | S3 |
//! | [`stream`] | [`Stream`] | Kinesis |
//! | [`topic`] | [`Topic`] | SNS |
//!
//! The implementations in memory fail as the services do, on request or at random from a seed: see
//! [`Faults`]. Objects are in the crate `shoplake-lake`, the warehouse is in `shoplake-warehouse`.

mod config;
pub mod dead_letter_queue;
pub mod dirty_queue;
mod error;
pub mod events;
pub mod executions;
mod fault;
pub mod secrets;
pub mod shops;
pub mod stream;
pub mod topic;

pub use config::sdk_config;
pub use dead_letter_queue::{
    DeadLetterMessage, DeadLetterQueue, MemoryDeadLetterQueue, SqsDeadLetterQueue,
};
pub use dirty_queue::{DirtyQueue, MemoryDirtyQueue, ReceivedMessage, SqsDirtyQueue};
pub use error::PortError;
pub use events::{EventBridge, EventPublisher};
pub use executions::{
    Execution, Executions, GlueRun, MemoryExecutions, StateMachineArns, StepFunctions,
};
pub use secrets::{SecretStore, SecretVersion, Secrets};
pub use shoplake_platform::faults::{Fault, FaultRates, Faults};
pub use shops::ShopList;
pub use stream::Stream;
pub use topic::Topic;
