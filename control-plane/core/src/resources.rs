//! Admins declare; what validates takes effect at once, everywhere that is attached.

use std::sync::Arc;

use countersign_model::Name;
use countersign_store::{Change, Expected, ResourceKind, StoreError};
use countersign_wire::v1::{self, resource::Spec};

use crate::{
    Admin, Core, ResourceError,
    core::to_its_end,
    declared::{self, Declared},
    in_force::InForce,
    listing, validate,
};

impl Core {
    /// Creates or replaces a resource by kind and name. With `dry_run` it validates and says what would change.
    /// Dropping the future does not stop it.
    ///
    /// # Errors
    /// [`ResourceError`]; then nothing has changed.
    pub async fn apply(
        self: &Arc<Self>,
        admin: &Admin,
        resource: v1::Resource,
        dry_run: bool,
    ) -> Result<(v1::Resource, v1::Change), ResourceError> {
        let (core, admin) = (self.clone(), admin.clone());
        to_its_end(async move { core.apply_now(&admin, resource, dry_run).await }).await
    }

    async fn apply_now(
        &self,
        admin: &Admin,
        resource: v1::Resource,
        dry_run: bool,
    ) -> Result<(v1::Resource, v1::Change), ResourceError> {
        let (name, spec) = identify(resource)?;
        let kind = declared::kind_of(&spec);
        let _changing = self.changing.lock().await;
        let declared = self.stored().await?;
        if let Some(missing) = validate::missing(&spec, &declared) {
            return Err(ResourceError::Missing(missing));
        }
        let admin_audience = &self.parts.settings.admin_audience;
        let spec = validate::check(&name, spec, &declared, admin_audience).map_err(ResourceError::Invalid)?;
        check_leaves_people(admin, &spec)?;
        let present = self.present(kind, &name).await?;
        let encoded = match &present {
            // A map has many encodings: what says the same is the same.
            Some((_, stored)) if declared::decode_as(kind, stored).as_ref() == Some(&spec) => stored.clone(),
            _ => declared::encode(&spec),
        };
        if dry_run {
            return Ok(foresee(kind, &name, spec, &encoded, present));
        }
        let expected = present.as_ref().map_or(Expected::Absent, |(version, _)| Expected::Version(*version));
        let put = self.parts.store.put_resource(kind, &name, encoded, expected).await?;
        if put.change != Change::Unchanged {
            self.put_in_force().await?;
        }
        let change = change(put.change);
        let subject = format!("{}/{name}", kind.as_str());
        let version = put.version.to_string();
        let detail = [("change", change.as_str_name()), ("version", version.as_str())];
        self.audit(&admin.actor, "resource.applied", &subject, &detail).await?;
        if let (Spec::DataClass(class), Some(before)) = (&spec, declared.classes.get(&name)) {
            self.audit_uncovered(&admin.actor, &subject, &validate::uncovered(before, Some(class))).await?;
        }
        Ok((declared::message(kind, &name, spec, put.version), change))
    }

    /// Removes a resource that nothing else depends on. The sessions of an agent end with it: what became of them
    /// is returned. Dropping the future does not stop it.
    ///
    /// # Errors
    /// [`ResourceError`]; then nothing has changed, unless the store failed after it was removed.
    pub async fn delete(
        self: &Arc<Self>,
        admin: &Admin,
        kind: &str,
        name: &str,
    ) -> Result<Option<v1::Revocation>, ResourceError> {
        let (kind, name) = key(kind, name)?;
        let (core, admin) = (self.clone(), admin.clone());
        to_its_end(async move {
            let Some(agent) = core.delete_now(&admin, kind, &name).await? else { return Ok(None) };
            let sessions = core.sessions_of_agent(&agent).await?;
            Ok(Some(core.cut(&sessions, "agent deleted").await?))
        })
        .await
    }

    /// Returns the agent, if it was one.
    async fn delete_now(
        &self,
        admin: &Admin,
        kind: ResourceKind,
        name: &Name,
    ) -> Result<Option<v1::AgentSpec>, ResourceError> {
        let _changing = self.changing.lock().await;
        let declared = self.stored().await?;
        let (version, _) = self.present(kind, name).await?.ok_or(ResourceError::NotFound)?;
        match kind {
            ResourceKind::Zone => self.check_zone_unused(name, &declared).await?,
            ResourceKind::Target => check_target_unused(name, &declared)?,
            ResourceKind::DataClass | ResourceKind::Agent | ResourceKind::PolicyBundle => {}
        }
        self.parts.store.delete_resource(kind, name, Expected::Version(version)).await?;
        self.put_in_force().await?;
        let subject = format!("{}/{name}", kind.as_str());
        self.audit(&admin.actor, "resource.deleted", &subject, &[]).await?;
        if let (ResourceKind::DataClass, Some(before)) = (kind, declared.classes.get(name)) {
            self.audit_uncovered(&admin.actor, &subject, &validate::uncovered(before, None)).await?;
        }
        let agent = if kind == ResourceKind::Agent { declared.agents.get(name).cloned() } else { None };
        Ok(agent)
    }

    /// One resource.
    ///
    /// # Errors
    /// [`ResourceError::NotFound`], among others.
    pub async fn get(&self, kind: &str, name: &str) -> Result<v1::Resource, ResourceError> {
        let (kind, name) = key(kind, name)?;
        let stored = self.parts.store.resource(kind, &name).await?;
        let spec = declared::decode(&stored).ok_or(ResourceError::NotFound)?;
        Ok(declared::message(kind, &name, spec, stored.version))
    }

    /// A page of the resources of a kind, by name.
    ///
    /// # Errors
    /// [`ResourceError::Invalid`] for an unknown kind or a foreign page token.
    pub async fn list(
        &self,
        kind: &str,
        size: u32,
        token: &str,
    ) -> Result<v1::ListResourcesResponse, ResourceError> {
        let kind = known_kind(kind)?;
        let (after, limit) =
            listing::page::<Name>(size, token).map_err(|error| ResourceError::Invalid(error.to_string()))?;
        let page = self.parts.store.resources(kind, after.as_ref(), limit).await?;
        let resources = page.items.iter().filter_map(|stored| {
            let spec = declared::decode(stored)?;
            Some(declared::message(kind, &stored.name, spec, stored.version))
        });
        Ok(v1::ListResourcesResponse {
            resources: resources.collect(),
            next_page_token: listing::token(page.next),
        })
    }

    /// Version and spec of what is there now.
    async fn present(&self, kind: ResourceKind, name: &Name) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        match self.parts.store.resource(kind, name).await {
            Ok(stored) => Ok(Some((stored.version, stored.spec))),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn check_zone_unused(&self, zone: &Name, declared: &Declared) -> Result<(), ResourceError> {
        if let Some((target, _)) = declared.targets.iter().find(|(_, spec)| spec.zone == zone.as_str()) {
            return Err(ResourceError::InUse(format!("target {target} is in this zone")));
        }
        match self.parts.store.edges().await?.into_iter().find(|edge| edge.zone == *zone) {
            Some(edge) => Err(ResourceError::InUse(format!("edge {} is enrolled in this zone", edge.name))),
            None => Ok(()),
        }
    }

    /// What was masked until now and comes back as it is from now on, unless another class has it too.
    async fn audit_uncovered(&self, actor: &str, subject: &str, what: &[String]) -> Result<(), StoreError> {
        if what.is_empty() {
            return Ok(());
        }
        self.audit(actor, "resource.uncovered", subject, &[("removed", &what.join("; "))]).await
    }

    /// What is stored. Should an earlier change have failed between the store and its being in force, it is put in
    /// force now: a change that is sent again finds nothing to do in the store.
    async fn stored(&self) -> Result<Declared, ResourceError> {
        let declared = Declared::read(&self.parts.store.snapshot().await?).map_err(unreadable)?;
        if declared.generation != self.in_force.borrow().declared.generation {
            self.make_in_force(declared.clone())?;
        }
        Ok(declared)
    }

    /// Reads what is stored and makes it what is in force; every attached edge hears of it.
    async fn put_in_force(&self) -> Result<(), ResourceError> {
        self.make_in_force(Declared::read(&self.parts.store.snapshot().await?).map_err(unreadable)?)
    }

    fn make_in_force(&self, declared: Declared) -> Result<(), ResourceError> {
        let before = self.in_force.borrow().clone();
        let next = InForce::build(declared, Some(&before), &self.parts.deployment_key, self.now())
            .map_err(unreadable)?;
        self.in_force.send_replace(Arc::new(next));
        Ok(())
    }
}

fn check_target_unused(target: &Name, declared: &Declared) -> Result<(), ResourceError> {
    let names = |spec| validate::named_targets(spec).any(|named| named == target.as_str());
    match declared.classes.iter().find(|(_, spec)| names(spec)) {
        Some((class, _)) => Err(ResourceError::InUse(format!("data class {class} names this target"))),
        None => Ok(()),
    }
}

/// Through the application of an agent nobody is an admin or votes: a person who declared their own to be one could not
/// take it back.
fn check_leaves_people(admin: &Admin, spec: &Spec) -> Result<(), ResourceError> {
    match (spec, &admin.person_by) {
        (Spec::Agent(agent), Some(app)) if **app == *agent.app_id => Err(ResourceError::Invalid(format!(
            "app id {app} is the application that you sign in with: an agent must have its own"
        ))),
        _ => Ok(()),
    }
}

fn identify(resource: v1::Resource) -> Result<(Name, Spec), ResourceError> {
    let (kind, name) = key(&resource.kind, &resource.name)?;
    let spec = resource.spec.ok_or_else(|| ResourceError::Invalid("the spec is missing".into()))?;
    if declared::kind_of(&spec) == kind {
        Ok((name, spec))
    } else {
        Err(ResourceError::Invalid(format!("the spec is not one of a {}", kind.as_str())))
    }
}

fn key(kind: &str, name: &str) -> Result<(ResourceKind, Name), ResourceError> {
    let name = name
        .parse()
        .map_err(|error: countersign_model::NameError| ResourceError::Invalid(error.to_string()))?;
    Ok((known_kind(kind)?, name))
}

fn known_kind(kind: &str) -> Result<ResourceKind, ResourceError> {
    ResourceKind::from_word(kind).ok_or_else(|| {
        ResourceError::Invalid("the kind must be Zone, Target, DataClass, Agent or PolicyBundle".into())
    })
}

fn foresee(
    kind: ResourceKind,
    name: &Name,
    spec: Spec,
    encoded: &[u8],
    present: Option<(u64, Vec<u8>)>,
) -> (v1::Resource, v1::Change) {
    let (version, change) = match present {
        None => (0, v1::Change::Created),
        Some((version, stored)) if stored == encoded => (version, v1::Change::Unchanged),
        Some((version, _)) => (version, v1::Change::Updated),
    };
    (declared::message(kind, name, spec, version), change)
}

fn change(change: Change) -> v1::Change {
    match change {
        Change::Created => v1::Change::Created,
        Change::Updated => v1::Change::Updated,
        Change::Unchanged => v1::Change::Unchanged,
    }
}

/// What was stored once validated; if it does not decode now, the store is at fault, not the admin.
fn unreadable(error: crate::declared::InvalidSpec) -> ResourceError {
    ResourceError::Store(StoreError::unavailable(error))
}
