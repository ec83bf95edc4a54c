//! A batch that was not masked cannot be recorded as a reply.

use countersign_gate::{Batch, InFlight, Session, ports::Ports};

async fn relay<P: Ports>(session: &mut Session<P>, in_flight: &mut InFlight, batch: Batch) {
    let _ = session.reply(in_flight, batch).await;
}

fn main() {}
