//! A server in the process of the test.

use std::path::Path;
use std::time::Duration;

use airlane::server::{self, Handle, ServerOptions};
use airlane_client::Client;
use airlane_model::Result;
use tempfile::TempDir;

/// A server on a free port of this machine, with a data folder of its own. Dropping it stops the server at once and
/// removes the folder.
#[derive(Debug)]
pub struct TestServer {
    handle: Handle,
    folder: TempDir,
}

impl TestServer {
    /// Starts a server.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let handle = server::run(Self::options(folder.path())).await.expect("the server starts");
        Self { handle, folder }
    }

    /// What such a server is started with, for tests that change something.
    pub fn options(folder: &Path) -> ServerOptions {
        ServerOptions {
            listen: Some(([127, 0, 0, 1], 0).into()),
            data_dir: Some(folder.join("data")),
            grace: Duration::from_secs(1),
            ..ServerOptions::default()
        }
    }

    /// The server.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Its data folder.
    pub fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Its address, as clients take it.
    pub fn url(&self) -> String {
        format!("grpc://{}", self.handle.address().expect("a port"))
    }

    /// A new connection.
    ///
    /// # Errors
    /// `server_unreachable`.
    pub async fn connect(&self) -> Result<Client> {
        Client::connect(&self.url()).await
    }

    /// Lets running requests end and stops; the data folder stays until the answer is dropped.
    ///
    /// # Errors
    /// As [`Handle::wait`].
    pub async fn stop(mut self) -> Result<TempDir> {
        self.handle.stop();
        self.handle.wait().await?;
        Ok(self.folder)
    }
}
