//! Tables handed over on the server's own machine, without copying or sending them.
//!
//! ```text
//! put   batches ─ laid out once, in memfds, some at once ─ sealed ─ descriptors ──▶ server
//! get   server ─ descriptors ──▶ mapped when first read; arrays point into the mapping
//! ```
//!
//! A connection does one thing at a time, so a client has as many as it does things at once.

mod lanes;
mod link;
mod plan;
mod put;
mod table;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airlane_model::{Error, Receipt, Result, Secret, TableName, codes};
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::Stream;
use tokio::time::timeout;

use crate::client::PutOptions;
pub(crate) use link::Servers;
use link::{Link, Turn};
use put::LocalPut;
pub(crate) use table::LocalTable;

/// A server of this machine answers within this; else it is asked over the network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The local door of a server. Clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct LocalClient {
    path: PathBuf,
    servers: Servers,
    token: Option<Secret>,
    deadline: Option<Duration>,
    links: Arc<Mutex<Vec<Arc<Link>>>>,
}

impl LocalClient {
    /// Connects to a socket. Answers the address that the server has for everything else, too.
    ///
    /// # Errors
    /// `server_unreachable`, `credentials_missing`, `credentials_refused`.
    pub(crate) async fn connect(
        path: PathBuf,
        servers: Servers,
        token: Option<Secret>,
        deadline: Option<Duration>,
    ) -> Result<(Self, String)> {
        let client = Self { path, servers, token, deadline, links: Arc::default() };
        let (link, _turn) = client.link().await?;
        let url = link.hello().url.clone();
        Ok((client, url))
    }

    /// Puts batches.
    ///
    /// # Errors
    /// What the server answers; `connection_broken`.
    pub(crate) async fn put(
        &self,
        table: &TableName,
        schema: SchemaRef,
        batches: impl Stream<Item = Result<RecordBatch>> + Send,
        options: &PutOptions,
    ) -> Result<Receipt> {
        self.in_time(async {
            let (link, turn) = self.link().await?;
            let mut put = LocalPut::begin(link, turn, table, &schema, options).await?;
            put.append_all(batches).await?;
            put.commit().await
        })
        .await
    }

    /// Opens what a ticket names.
    ///
    /// # Errors
    /// What the server answers; `connection_broken`.
    pub(crate) async fn get(&self, ticket: &str) -> Result<LocalTable> {
        self.in_time(async {
            let (link, turn) = self.link().await?;
            LocalTable::open(link, turn, ticket).await
        })
        .await
    }

    async fn in_time<T>(&self, doing: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(deadline) = self.deadline else { return doing.await };
        timeout(deadline, doing).await.unwrap_or_else(|_| {
            Err(Error::new(codes::DEADLINE_EXCEEDED, format!("the call did not end within {deadline:?}")))
        })
    }

    /// A connection that does nothing, and the right to use it.
    async fn link(&self) -> Result<(Arc<Link>, Turn)> {
        let idle = {
            let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.retain(|link| !link.is_broken());
            links.iter().find_map(|link| Some((link.clone(), link.try_turn()?)))
        };
        if let Some(idle) = idle {
            return Ok(idle);
        }
        let connecting = Link::connect(&self.path, self.servers, self.token.as_ref());
        let link =
            timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| link::unreachable(&self.path, "no answer"))??;
        let turn = link.turn().await;
        self.links.lock().unwrap_or_else(PoisonError::into_inner).push(link.clone());
        Ok((link, turn))
    }
}
