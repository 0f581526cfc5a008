//! Parameter Store: the secrets of shops.

use std::sync::Arc;

use async_trait::async_trait;
use shoplake_aws::secrets::{MemorySecrets, SecretString, Secrets, SecretsError};
use shoplake_contracts::ShopId;

use crate::protocol::planted::Planted;
use crate::protocol::senders::FORGED;
use crate::protocol::world::{ServiceFaults, World};

/// The secrets of shops.
pub(crate) struct SimulatedSecrets {
    world: Arc<World>,
    secrets: MemorySecrets,
    faults: ServiceFaults,
}

impl SimulatedSecrets {
    pub(crate) fn new(world: &Arc<World>, secrets: MemorySecrets) -> Self {
        let faults = ServiceFaults::new(world, "secrets", world.profile.secrets);
        Self { world: world.clone(), secrets, faults }
    }
}

#[async_trait]
impl Secrets for SimulatedSecrets {
    async fn webhook_secrets(&self, shop: &ShopId) -> Result<Vec<SecretString>, SecretsError> {
        self.world.call().await;
        if self.faults.read("read secrets").is_some() {
            let reason = "a fault of the simulation".to_owned();
            return Err(SecretsError::Unavailable { reason });
        }
        let mut secrets = self.secrets.webhook_secrets(shop).await?;
        if self.world.plants(Planted::ForgerAccepted) {
            secrets.push(FORGED.into());
        }
        Ok(secrets)
    }
}
