//! The extended query protocol towards a target: statements under names of ours, each of which stands for exactly the
//! bytes of the permit that it was prepared with.

use std::{collections::HashMap, rc::Rc};

use bytes::Bytes;
use countersign_gate::{InFlight, OperationKind, Permit, Recorded, Released};
use countersign_model::ResolvedName;

use super::{Line, LineError, Mismatch};
use crate::{
    codec::encode,
    control::Control,
    prepared::{Description, Statement},
    reply::{Broken, Reply, Tail},
};

/// Text and declared types of a statement: the same ones are the same statement.
type Key = (Bytes, Vec<u32>);

/// The statements that a target has prepared on one connection.
#[derive(Debug, Default)]
pub(super) struct Statements {
    known: HashMap<Key, Known>,
    named: u64,
}

#[derive(Debug)]
struct Known {
    name: String,
    /// What its names meant when it was prepared. The target goes on with that when another object of the same name
    /// comes to stand earlier in the search path (PostgreSQL's documentation, PREPARE).
    names: Rc<[ResolvedName]>,
    /// What was said of it when it was prepared.
    description: Description,
}

impl Statements {
    fn next(&mut self) -> u64 {
        self.named += 1;
        self.named
    }
}

/// An execution that was queued.
pub(crate) struct Executing {
    /// What the reply is owed to.
    pub(crate) in_flight: InFlight,
    /// Our name of the portal, if it may have more rows than are asked for.
    pub(crate) portal: Option<u64>,
}

/// The name of a statement that is being prepared, until the target has answered.
#[derive(Debug)]
pub(crate) struct Preparing {
    key: Key,
    name: String,
}

impl Line {
    /// Tells this connection from others.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    /// What the target says of the statement that a permit executes, if it has prepared it here when its names meant
    /// what they were found to mean now.
    pub(crate) fn described(
        &self,
        permit: &Recorded<Permit>,
        names: &Rc<[ResolvedName]>,
    ) -> Option<&Description> {
        let (text, types) = permit.statement()?;
        let known = self.statements.known.get(&(text.clone(), types))?;
        (known.names == *names).then_some(&known.description)
    }

    /// Gives up a permit to prepare, and queues what it permits.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn prepare(
        &mut self,
        permit: Recorded<Permit>,
        tail: Tail,
    ) -> Result<(InFlight, Preparing), Mismatch> {
        let Released { payload, binding, in_flight, .. } =
            permit.release_to_prepare(self.identity).map_err(Mismatch)?;
        let types = binding.map(|binding| binding.declared_types()).unwrap_or_default();
        Ok((in_flight, self.queue_prepare((payload, types), tail)))
    }

    /// The target has prepared it, and said this. Before that its names were found to mean `names`.
    pub(crate) fn prepared(
        &mut self,
        preparing: Preparing,
        names: Rc<[ResolvedName]>,
        description: Description,
    ) {
        let Preparing { key, name } = preparing;
        // One of the same bytes that was prepared before is of no use any more.
        if let Some(old) = self.statements.known.insert(key, Known { name, names, description }) {
            self.control(Control::CloseStatement(&old.name));
        }
    }

    /// Prepares the statement that a permit executes, which was decided with it by what its names mean, and reads what
    /// the target says of it. `None` if the target refuses.
    ///
    /// # Errors
    /// The connection is of no use any more.
    pub(crate) async fn prepare_for(
        &mut self,
        permit: &Recorded<Permit>,
        names: &Rc<[ResolvedName]>,
        tail: Tail,
        max_message: usize,
    ) -> Result<Option<Description>, LineError> {
        let Some((text, types)) = permit.statement() else { return Ok(None) };
        let preparing = self.queue_prepare((text.clone(), types), tail);
        self.flush().await?;
        let (reply, taken) = self.until_end(Reply::to_prepare(max_message, tail)).await?;
        if reply.completion.error_code.is_some() {
            return Ok(None);
        }
        let description = Description::read(&taken.bytes).map_err(Broken::from)?;
        self.prepared(preparing, names.clone(), description.clone());
        Ok(Some(description))
    }

    /// Gives up a permit for what it executes and queues that, with a `Sync` or a `Flush` behind it. Its statement has
    /// been prepared here.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn execute(&mut self, permit: Recorded<Permit>, tail: Tail) -> Result<Executing, Mismatch> {
        let key = permit.statement().map(|(text, types)| (text.clone(), types));
        let name = key.and_then(|key| self.statements.known.get(&key)).map(|known| known.name.clone());
        let Some(name) = name else { return Err(Mismatch(Box::new(permit))) };
        let Released { binding, in_flight, .. } = permit.release(self.identity).map_err(Mismatch)?;
        let binding = binding.unwrap_or_default();
        let portal = (binding.row_limit > 0).then(|| self.statements.next());
        let portal_name = portal.map(portal_name).unwrap_or_default();
        encode::bind(&mut self.outgoing, &portal_name, &name, &binding);
        encode::execute(&mut self.outgoing, &portal_name, binding.row_limit);
        self.queue_tail(tail);
        Ok(Executing { in_flight, portal })
    }

    /// Gives up a permit for more rows of a portal.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn fetch(
        &mut self,
        permit: Recorded<Permit>,
        portal: u64,
        tail: Tail,
    ) -> Result<InFlight, Mismatch> {
        let Released { binding, in_flight, .. } = permit.release(self.identity).map_err(Mismatch)?;
        debug_assert_eq!(in_flight.kind(), OperationKind::Fetch);
        let row_limit = binding.map_or(0, |binding| binding.row_limit);
        encode::execute(&mut self.outgoing, &portal_name(portal), row_limit);
        self.queue_tail(tail);
        Ok(in_flight)
    }

    /// Gives up a permit to end a pipeline.
    ///
    /// # Errors
    /// [`Mismatch`] with the permit.
    pub(crate) fn sync(&mut self, permit: Recorded<Permit>) -> Result<InFlight, Mismatch> {
        let released = permit.release(self.identity).map_err(Mismatch)?;
        self.control(Control::Sync);
        Ok(released.in_flight)
    }

    /// Has the target forget a statement, ahead of what is sent next.
    pub(crate) fn close_statement(&mut self, statement: &Statement) {
        let key = (statement.text.clone(), statement.types.clone());
        if let Some(known) = self.statements.known.remove(&key) {
            self.control(Control::CloseStatement(&known.name));
        }
    }

    /// Has the target forget a portal, ahead of what is sent next.
    pub(crate) fn close_portal(&mut self, portal: u64) {
        self.control(Control::ClosePortal(&portal_name(portal)));
    }

    /// Has the target forget all statements, ahead of what is sent next: somebody may have put others under their names.
    pub(crate) fn close_statements(&mut self) {
        for known in std::mem::take(&mut self.statements.known).into_values() {
            self.control(Control::CloseStatement(&known.name));
        }
    }

    /// The target has forgotten all statements.
    pub(crate) fn forget_statements(&mut self) {
        self.statements.known.clear();
    }

    fn queue_prepare(&mut self, key: Key, tail: Tail) -> Preparing {
        let name = format!("countersign_{}", self.statements.next());
        encode::parse(&mut self.outgoing, &name, &key.0, &key.1);
        encode::describe_statement(&mut self.outgoing, &name);
        self.queue_tail(tail);
        Preparing { key, name }
    }

    fn queue_tail(&mut self, tail: Tail) {
        self.control(match tail {
            Tail::Sync => Control::Sync,
            Tail::Flush => Control::Flush,
        });
    }
}

fn portal_name(portal: u64) -> String {
    format!("countersign_{portal}")
}
