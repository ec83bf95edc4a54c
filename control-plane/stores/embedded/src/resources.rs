//! Resources, their versions and the generation of the set.

use std::ops::Bound;

use async_trait::async_trait;
use countersign_model::Name;
use countersign_store::{
    Change, Expected, Page, Put, Resource, ResourceKind, Resources, Snapshot, StoreError,
};
use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use crate::{
    EmbeddedStore,
    stored::{StoredResource, name},
    tables::{self, Broken, Fault, GENERATION, RESOURCES},
};

#[async_trait]
impl Resources for EmbeddedStore {
    async fn put_resource(
        &self,
        kind: ResourceKind,
        name: &Name,
        spec: Vec<u8>,
        expected: Expected,
    ) -> Result<Put, StoreError> {
        let name = name.clone();
        self.writer.write(move |transaction| put(transaction, kind, &name, spec, expected)).await
    }

    async fn delete_resource(
        &self,
        kind: ResourceKind,
        name: &Name,
        expected: Expected,
    ) -> Result<u64, StoreError> {
        let name = name.clone();
        self.writer.write(move |transaction| delete(transaction, kind, &name, expected)).await
    }

    async fn resource(&self, kind: ResourceKind, name: &Name) -> Result<Resource, StoreError> {
        let name = name.clone();
        self.read(move |transaction| {
            let stored = tables::get(&transaction.open_table(RESOURCES)?, (number(kind), name.as_str()))?;
            let present = stored.filter(|stored: &StoredResource| !stored.deleted);
            let stored = present.ok_or(Fault::Refused(StoreError::NotFound))?;
            Ok(Resource { kind, name, spec: stored.spec, version: stored.version })
        })
        .await
    }

    async fn resources(
        &self,
        kind: ResourceKind,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Page<Resource, Name>, StoreError> {
        let after = after.cloned();
        self.read(move |transaction| {
            let start = after.as_ref().map_or("", Name::as_str);
            let most = Page::<Resource, Name>::size(limit) + 1;
            let found = list(transaction, kind, start, most)?;
            Ok(Page::from_overfull(found, limit, |resource| resource.name.clone()))
        })
        .await
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.read(|transaction| {
            let generation = tables::counter(transaction, GENERATION)?;
            let mut resources = Vec::new();
            for kind in ResourceKind::ALL {
                resources.extend(list(transaction, kind, "", usize::MAX)?);
            }
            Ok(Snapshot { generation, resources })
        })
        .await
    }

    async fn generation(&self) -> Result<u64, StoreError> {
        self.read(|transaction| Ok(tables::counter(transaction, GENERATION)?)).await
    }
}

fn put(
    transaction: &WriteTransaction,
    kind: ResourceKind,
    name: &Name,
    spec: Vec<u8>,
    expected: Expected,
) -> Result<Put, Fault> {
    let mut resources = transaction.open_table(RESOURCES)?;
    let key = (number(kind), name.as_str());
    let stored = tables::get(&resources, key)?;
    let last_version = stored.as_ref().map_or(0, |stored: &StoredResource| stored.version);
    let present = stored.filter(|stored| !stored.deleted);
    if !expected.holds(present.as_ref().map(|stored| stored.version)) {
        return Err(Fault::Refused(StoreError::Conflict));
    }
    let change = match present {
        Some(present) if present.spec == spec => Change::Unchanged,
        Some(_) => Change::Updated,
        None => Change::Created,
    };
    if change == Change::Unchanged {
        let counters = transaction.open_table(tables::COUNTERS)?;
        let generation = counters.get(GENERATION)?.map_or(0, |value| value.value());
        return Ok(Put { change, version: last_version, generation });
    }
    let version = last_version.saturating_add(1);
    tables::put(&mut resources, key, &StoredResource { version, spec, deleted: false })?;
    Ok(Put { change, version, generation: tables::count(transaction, GENERATION)? })
}

fn delete(
    transaction: &WriteTransaction,
    kind: ResourceKind,
    name: &Name,
    expected: Expected,
) -> Result<u64, Fault> {
    let mut resources = transaction.open_table(RESOURCES)?;
    let key = (number(kind), name.as_str());
    let present = tables::get(&resources, key)?.filter(|stored: &StoredResource| !stored.deleted);
    if !expected.holds(present.as_ref().map(|stored| stored.version)) {
        return Err(Fault::Refused(StoreError::Conflict));
    }
    let present = present.ok_or(Fault::Refused(StoreError::NotFound))?;
    let tombstone = StoredResource { version: present.version, spec: Vec::new(), deleted: true };
    tables::put(&mut resources, key, &tombstone)?;
    Ok(tables::count(transaction, GENERATION)?)
}

/// At most `most` resources of a kind whose names follow `after`.
fn list(
    transaction: &ReadTransaction,
    kind: ResourceKind,
    after: &str,
    most: usize,
) -> Result<Vec<Resource>, Broken> {
    let resources = transaction.open_table(RESOURCES)?;
    let mut found = Vec::new();
    let kind_number = number(kind);
    let from = Bound::Excluded((kind_number, after));
    let to = Bound::Excluded((kind_number.saturating_add(1), ""));
    for entry in resources.range::<(u8, &str)>((from, to))? {
        if found.len() >= most {
            break;
        }
        let (key, record) = entry?;
        let stored: StoredResource = tables::decode(record.value())?;
        if !stored.deleted {
            let name = name(key.value().1)?;
            found.push(Resource { kind, name, spec: stored.spec, version: stored.version });
        }
    }
    Ok(found)
}

/// The number of a kind in the file; never changes.
fn number(kind: ResourceKind) -> u8 {
    match kind {
        ResourceKind::Zone => 1,
        ResourceKind::Target => 2,
        ResourceKind::Agent => 3,
        ResourceKind::PolicyBundle => 4,
        ResourceKind::DataClass => 5,
    }
}
