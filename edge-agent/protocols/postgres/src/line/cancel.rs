//! A request to cancel what a connection is running: on a connection of its own, and never answered.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{DialError, Line, dial::secure};
use crate::PostgresTarget;

/// `CancelRequest`.
const CODE: u32 = 80_877_102;
/// For the whole of a request.
const PATIENCE: Duration = Duration::from_secs(5);

/// What it takes to have a connection's operation cancelled.
pub(crate) struct Canceller {
    target: Arc<PostgresTarget>,
    key: Bytes,
}

impl Line {
    /// The way to cancel what runs here; `None` if the target gave no key.
    pub(crate) fn canceller(&self, target: &Arc<PostgresTarget>) -> Option<Canceller> {
        let key = self.cancel_key.clone();
        (!key.is_empty()).then(|| Canceller { target: target.clone(), key })
    }
}

impl Canceller {
    /// Asks, and waits until the target has taken it in: it closes the connection once it has passed the request on,
    /// so that none arrives later and hits what runs then.
    ///
    /// # Errors
    /// The target cannot be asked; what runs goes on.
    pub(crate) async fn cancel(self) -> Result<(), DialError> {
        let asking = async {
            let mut stream = secure(&self.target).await?;
            let length = self.key.len() as u32 + 8;
            let request = [&length.to_be_bytes()[..], &CODE.to_be_bytes(), &self.key].concat();
            stream.write_all(&request).await?;
            stream.flush().await?;
            // Whatever it says, the end of it is what counts; a server that goes without a farewell has ended it, too.
            let mut said = [0; 64];
            loop {
                match stream.read(&mut said).await {
                    Ok(0) => return Ok(()),
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        timeout(PATIENCE, asking).await.unwrap_or(Err(DialError::Timeout))
    }
}
