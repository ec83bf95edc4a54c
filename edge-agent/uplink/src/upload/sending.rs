//! A pack in pieces.

use countersign_recording::{PackName, PackPlan};
use countersign_wire::v1::{self, upload_packs_request::Part};
use tokio::sync::mpsc::Permit;

/// Bytes of a pack in one message.
const CHUNK: usize = 256 << 10;

/// A pack that is sent, in whole or in part, and not answered.
#[derive(Debug)]
pub(super) struct OnItsWay {
    pub(super) plan: PackPlan,
    pub(super) sha256: [u8; 32],
}

/// What is still to be sent of the newest pack; nothing by default.
#[derive(Debug, Default)]
pub(super) struct Sending {
    start: Option<v1::PackStart>,
    bytes: Vec<u8>,
    /// `sent <= bytes.len()`.
    sent: usize,
}

impl Sending {
    pub(super) fn new(name: &PackName, bytes: Vec<u8>, sha256: [u8; 32]) -> Self {
        let start = v1::PackStart {
            boot_id: name.boot_id.to_vec(),
            number: name.number,
            bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            sha256: sha256.to_vec(),
        };
        Self { start: Some(start), bytes, sent: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.start.is_none() && self.sent == self.bytes.len()
    }

    /// Sends the next piece. The pack's memory is given back with the last.
    pub(super) fn send(&mut self, permit: Permit<'_, v1::UploadPacksRequest>) {
        let part = match self.start.take() {
            Some(start) => Part::Start(start),
            None => Part::Chunk(self.next_chunk()),
        };
        permit.send(v1::UploadPacksRequest { part: Some(part) });
        if self.is_done() {
            *self = Self::default();
        }
    }

    fn next_chunk(&mut self) -> Vec<u8> {
        let end = self.sent.saturating_add(CHUNK).min(self.bytes.len());
        let chunk = self.bytes.get(self.sent..end).unwrap_or_default().to_vec();
        self.sent = end;
        chunk
    }
}
