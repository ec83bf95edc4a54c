//! What every store must do. A backend's tests call [`run`] with something that makes fresh, empty stores.
//!
//! Calls that race are polled together, so run it on a multi-threaded runtime. What it cannot see from inside one
//! process (that acknowledged writes survive a kill) is the backend's own to test.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test suite: a panic is its verdict")]
#![allow(clippy::indexing_slicing, reason = "the same")]

mod approvals;
mod audit;
mod edges;
mod recordings;
mod resources;
mod sessions;
mod token_uses;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use countersign_model::Name;

use crate::Store;

/// Runs the whole suite; panics at the first promise that is not kept. Each part gets a store of its own.
pub async fn run<F: Future<Output = Arc<dyn Store>>>(fresh: impl Fn() -> F) {
    fresh().await.check().await.unwrap();
    resources::run(&*fresh().await).await;
    resources::of_racing_writers_one_wins(&*fresh().await).await;
    resources::pages_are_stable(&*fresh().await).await;
    sessions::run(&*fresh().await).await;
    sessions::lists_newest_first(&*fresh().await).await;
    approvals::run(&*fresh().await).await;
    approvals::every_field_is_kept(&*fresh().await).await;
    approvals::an_asker_has_so_many_pending_ones(&*fresh().await).await;
    approvals::of_racing_writers_one_wins(&*fresh().await).await;
    approvals::lists_by_state_newest_first(&*fresh().await).await;
    approvals::open_ones_and_those_of_a_session(&*fresh().await).await;
    recordings::run(&*fresh().await).await;
    recordings::of_racing_segments_one_wins(&*fresh().await).await;
    edges::a_join_token_admits_one_edge(&*fresh().await).await;
    edges::of_racing_edges_one_joins(&*fresh().await).await;
    edges::boots_and_leases(&*fresh().await).await;
    edges::a_deleted_edge_is_gone_and_its_name_free(&*fresh().await).await;
    audit::run(&*fresh().await).await;
    token_uses::run(&*fresh().await).await;
    token_uses::forgets_what_expired(&*fresh().await).await;
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// An instant, `seconds` after a fixed one, with all its digits used.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::new(1_900_000_000 + seconds, 123_456_789)
}
