//! One recording in memory, handed out as the archive holds it.

use std::sync::{Arc, Mutex};

use countersign_wire::v1::{
    DownloadRecordingRequest, ListRecordingsRequest, ListRecordingsResponse, RecordingPart,
    recording_service_server::RecordingService,
};
use tokio_stream::{Iter, iter};
use tonic::{Request, Response, Status};

use super::State;

#[derive(Clone, Default)]
pub(crate) struct Recordings(Arc<Mutex<Vec<RecordingPart>>>);

impl Recordings {
    /// What every download gives from now on.
    pub(crate) fn give(&self, parts: Vec<RecordingPart>) {
        *self.0.lock().expect("not poisoned") = parts;
    }
}

#[tonic::async_trait]
impl RecordingService for Recordings {
    type DownloadRecordingStream = Iter<std::vec::IntoIter<Result<RecordingPart, Status>>>;

    async fn list_recordings(
        &self,
        request: Request<ListRecordingsRequest>,
    ) -> Result<Response<ListRecordingsResponse>, Status> {
        State::let_in(request)?;
        Ok(Response::new(ListRecordingsResponse::default()))
    }

    async fn download_recording(
        &self,
        request: Request<DownloadRecordingRequest>,
    ) -> Result<Response<Self::DownloadRecordingStream>, Status> {
        State::let_in(request)?;
        let parts: Vec<_> = self.0.lock().expect("not poisoned").iter().cloned().map(Ok).collect();
        Ok(Response::new(iter(parts)))
    }
}
