//! The read side of a connection: one buffer that grows with what arrives and is given back when it is empty.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Reserved for a connection that waits: what an idle session costs on each side, in bytes.
const SMALLEST: usize = 512;
/// Largest reservation for one read, in bytes.
const LARGEST: usize = 64 * 1024;

/// Bytes that were read and not yet taken.
#[derive(Debug)]
pub(crate) struct Inlet {
    /// What was read. Decoders take whole messages off the front.
    pub(crate) bytes: BytesMut,
    /// How much the next read reserves; between [`SMALLEST`] and [`LARGEST`].
    reserve: usize,
}

impl Inlet {
    /// An empty inlet.
    pub(crate) fn new() -> Self {
        Self { bytes: BytesMut::new(), reserve: SMALLEST }
    }

    /// Waits for more bytes; `false` is the end of the stream. Cancel safe.
    pub(crate) async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<bool> {
        self.bytes.reserve(self.reserve);
        let read = stream.read_buf(&mut self.bytes).await?;
        if read >= self.reserve {
            self.reserve = (self.reserve * 4).min(LARGEST);
        }
        Ok(read > 0)
    }

    /// Gives the buffer back if nothing is in it: called when the connection goes idle.
    pub(crate) fn rest(&mut self) {
        if self.bytes.is_empty() {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn grows_while_it_is_fed_and_rests_small() {
        let (mut near, mut far) = tokio::io::duplex(256 * 1024);
        far.write_all(&[7; 200_000]).await.unwrap();
        let mut inlet = Inlet::new();
        while inlet.bytes.len() < 200_000 {
            assert!(inlet.fill(&mut near).await.unwrap());
        }
        assert_eq!(inlet.reserve, LARGEST);
        inlet.rest();
        assert_eq!(inlet.bytes.len(), 200_000);
        inlet.bytes.clear();
        inlet.rest();
        assert_eq!(inlet.bytes.capacity(), 0);
        drop(far);
        assert!(!inlet.fill(&mut near).await.unwrap());
    }
}
