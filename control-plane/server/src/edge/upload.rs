//! Segments in, acknowledgements out, in order. The first that cannot be taken ends the stream with its reason.

use std::sync::Arc;

use countersign_core::Core;
use countersign_pki::EdgeIdentity;
use countersign_runtime::Watch;
use countersign_wire::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use tracing::warn;

use crate::status;

/// Acknowledgements that wait for a slow edge; while they do, no further segment is read.
const QUEUED: usize = 8;

/// Takes in until the edge ends its side.
pub(super) fn upload(
    core: Arc<Core>,
    peer: EdgeIdentity,
    mut segments: Streaming<v1::UploadSegmentsRequest>,
    mut stop: Watch,
) -> ReceiverStream<Result<v1::UploadSegmentsResponse, Status>> {
    let (acknowledgements, stream) = mpsc::channel(QUEUED);
    tokio::spawn(async move {
        let _blocker = stop.block();
        loop {
            let segment = tokio::select! {
                segment = segments.message() => segment,
                () = stop.stopped() => Err(Status::unavailable("the control plane is stopping")),
            };
            let answer = match segment {
                Ok(None) => return,
                Ok(Some(segment)) => take(&core, &peer, segment).await,
                Err(status) => Err(status),
            };
            let ended = answer.is_err();
            if acknowledgements.send(answer).await.is_err() || ended {
                return;
            }
        }
    });
    ReceiverStream::new(stream)
}

async fn take(
    core: &Core,
    peer: &EdgeIdentity,
    segment: v1::UploadSegmentsRequest,
) -> Result<v1::UploadSegmentsResponse, Status> {
    let (recording_id, number) = (segment.recording_id.clone(), segment.number);
    match core.ingest(peer, segment).await {
        Ok(sha256) => Ok(v1::UploadSegmentsResponse { recording_id, number, sha256: sha256.to_vec() }),
        Err(error) => {
            // The id is the edge's own word until it is verified; it is logged escaped.
            warn!(edge = %peer.name, recording = ?recording_id, number, %error, "a segment was not taken");
            Err(status::ingest(error))
        }
    }
}
