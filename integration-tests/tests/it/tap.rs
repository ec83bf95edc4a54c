//! A tap on the wire between the edge and PostgreSQL: it forwards every byte, and notes each as it comes by.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Forwards until the process ends.
pub(crate) struct Tap {
    pub(crate) port: u16,
    seen: Seen,
}

/// Bytes that came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Which connection, counted from 0 in the order in which they were made.
    pub(crate) connection: usize,
    pub(crate) to_server: bool,
    pub(crate) bytes: usize,
}

#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(usize, Vec<Passed>)>>);

impl Tap {
    /// A tap before the server at a port of this machine.
    pub(crate) fn before(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Seen::default();
        let noted = seen.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("accepted");
                let upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).expect("the server listens");
                let connection = noted.connected();
                forward(&client, &upstream, noted.clone(), connection, true);
                forward(&upstream, &client, noted.clone(), connection, false);
            }
        });
        Self { port, seen }
    }

    /// Connections that were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().0
    }

    /// Everything that passed so far, in order.
    pub(crate) fn passed(&self) -> Vec<Passed> {
        self.seen.lock().1.clone()
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, (usize, Vec<Passed>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connected(&self) -> usize {
        let mut seen = self.lock();
        seen.0 += 1;
        seen.0 - 1
    }
}

/// Noted before it is passed on: what arrived has been counted.
fn forward(from: &TcpStream, to: &TcpStream, seen: Seen, connection: usize, to_server: bool) {
    let (mut from, mut to) = (from.try_clone().expect("cloned"), to.try_clone().expect("cloned"));
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            seen.lock().1.push(Passed { connection, to_server, bytes });
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
