//! `RecordingService`.

use std::sync::Arc;

use countersign_core::{Core, SegmentPlace};
use countersign_wire::v1::{self, recording_part::Part, recording_service_server::RecordingService};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use crate::status;

/// Segments that wait for a slow reader; each has up to 1 MiB.
const QUEUED: usize = 2;

pub(super) struct Service(pub(super) Arc<Core>);

#[async_trait]
impl RecordingService for Service {
    type DownloadRecordingStream = ReceiverStream<Result<v1::RecordingPart, Status>>;

    async fn list_recordings(
        &self,
        request: Request<v1::ListRecordingsRequest>,
    ) -> Result<Response<v1::ListRecordingsResponse>, Status> {
        let v1::ListRecordingsRequest { page_size, page_token } = request.into_inner();
        let page = self.0.list_recordings(page_size, &page_token).await.map_err(status::read)?;
        Ok(Response::new(page))
    }

    async fn download_recording(
        &self,
        request: Request<v1::DownloadRecordingRequest>,
    ) -> Result<Response<Self::DownloadRecordingStream>, Status> {
        let recording = self.0.recording_head(&request.into_inner().id).await.map_err(status::read)?;
        let (parts, stream) = mpsc::channel(QUEUED);
        let core = self.0.clone();
        tokio::spawn(async move {
            if parts.send(Ok(part(Part::Head(recording.head)))).await.is_ok() {
                send_segments(&core, &recording.segments, &parts).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// What the archive holds, faulty or not, and what opens it. A segment that is gone is left out: its reader sees the
/// gap.
async fn send_segments(
    core: &Core,
    segments: &[SegmentPlace],
    parts: &mpsc::Sender<Result<v1::RecordingPart, Status>>,
) {
    for place in segments {
        let sent = match core.recording_segment(place).await {
            Ok(Some(bytes)) => {
                let content_key = core.content_key(&bytes).map(|key| key.as_bytes().to_vec());
                let (number, content_key) = (place.number, content_key.unwrap_or_default());
                let segment = v1::ArchivedSegment { number, bytes: bytes.to_vec(), content_key };
                parts.send(Ok(part(Part::Segment(segment)))).await
            }
            Ok(None) => continue,
            Err(cause) => {
                // The reader must not take a cut stream for a whole recording.
                let _ = parts.send(Err(status::ourselves(cause))).await;
                return;
            }
        };
        // The reader has gone.
        if sent.is_err() {
            return;
        }
    }
}

fn part(part: Part) -> v1::RecordingPart {
    v1::RecordingPart { part: Some(part) }
}
