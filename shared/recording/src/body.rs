//! Bodies of frames: protobuf in one zstd frame, which is then sealed.

use std::cell::RefCell;

use countersign_wire::v1;
use prost::Message as _;
use zstd::{bulk, zstd_safe};

use crate::{
    bounds::{MAX_BODY, MAX_BODY_DECOMPRESSED},
    seal::OVERHEAD,
};

/// Bodies are small and written on the session's own thread: the fastest level.
const LEVEL: i32 = 1;

thread_local! {
    /// One context per thread, not per session: it keeps hundreds of kilobytes.
    static COMPRESSOR: RefCell<Option<bulk::Compressor<'static>>> = const { RefCell::new(None) };
}

/// A body that is larger than [`MAX_BODY`] once sealed or [`MAX_BODY_DECOMPRESSED`] decompressed, or for which the
/// compressor could not get memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyTooLarge;

/// A body that is not one whole zstd frame of a known and permitted size, or holds no `FrameBody`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidBody;

pub(crate) fn compress(body: &v1::FrameBody) -> Result<Vec<u8>, BodyTooLarge> {
    if body.encoded_len() > MAX_BODY_DECOMPRESSED {
        return Err(BodyTooLarge);
    }
    let encoded = body.encode_to_vec();
    let stored = COMPRESSOR.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = bulk::Compressor::new(LEVEL).ok();
        }
        slot.as_mut().and_then(|compressor| compressor.compress(&encoded).ok())
    });
    stored.filter(|stored| stored.len() <= MAX_BODY.saturating_sub(OVERHEAD)).ok_or(BodyTooLarge)
}

pub(crate) fn decompress(stored: &[u8]) -> Result<v1::FrameBody, InvalidBody> {
    check_len(stored)?;
    let encoded = bulk::decompress(stored, MAX_BODY_DECOMPRESSED).map_err(|_| InvalidBody)?;
    v1::FrameBody::decode(encoded.as_slice()).map_err(|_| InvalidBody)
}

/// One zstd frame from end to end, which says its size, within the bound.
fn check_len(stored: &[u8]) -> Result<(), InvalidBody> {
    let one_frame = zstd_safe::find_frame_compressed_size(stored) == Ok(stored.len());
    let size = zstd_safe::get_frame_content_size(stored).ok().flatten();
    let bounded = size.is_some_and(|size| size <= MAX_BODY_DECOMPRESSED as u64);
    if one_frame && bounded { Ok(()) } else { Err(InvalidBody) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(payload: Vec<u8>) -> v1::FrameBody {
        let intent = v1::IntentFrame { payload, ..Default::default() };
        v1::FrameBody { body: Some(v1::frame_body::Body::Intent(intent)) }
    }

    #[test]
    fn round_trips() {
        let body = body(b"SELECT 1".repeat(1000));
        let stored = compress(&body).unwrap();
        assert!(stored.len() < 1000);
        assert_eq!(decompress(&stored), Ok(body));
    }

    #[test]
    fn a_bomb_is_refused_before_it_unfolds() {
        assert_eq!(compress(&body(vec![0; MAX_BODY_DECOMPRESSED + 1])), Err(BodyTooLarge));
        let bomb = bulk::compress(&vec![0; MAX_BODY_DECOMPRESSED + 1], 1).unwrap();
        assert!(bomb.len() < MAX_BODY);
        assert_eq!(decompress(&bomb), Err(InvalidBody));
    }

    #[test]
    fn bytes_beside_the_one_frame_are_refused() {
        let mut stored = compress(&body(b"x".to_vec())).unwrap();
        let twice = [stored.clone(), stored.clone()].concat();
        assert_eq!(decompress(&twice), Err(InvalidBody));
        stored.push(0);
        assert_eq!(decompress(&stored), Err(InvalidBody));
        assert_eq!(decompress(&[]), Err(InvalidBody));
    }
}
