//! The caller and the touched objects as Cedar entities.
//!
//! A request is given the entities it needs and no more: the principal with its roles, the action with its groups,
//! the resource with its ancestors. Ids are as the schema file documents them.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression, Schema};
use countersign_model::{Action, Principal, PrincipalKind, Reason, Resource, SessionFacts};

/// Roles a caller may have; more are [`Reason::OverLimit`].
pub const MAX_ROLES: usize = 256;
/// Length of one segment of an entity's id, in bytes before escaping; longer ones are [`Reason::OverLimit`].
/// PostgreSQL's names have at most 63 bytes.
pub const MAX_SEGMENT_BYTES: usize = 256;

/// The schema's types and actions, made once per compiled set.
pub(crate) struct Vocabulary {
    types: HashMap<&'static str, EntityTypeName>,
    actions: HashMap<Action, ActionEntity>,
}

struct ActionEntity {
    entity: Entity,
    groups: HashSet<EntityUid>,
}

/// One side of a request: the entity it names, what that is in, and all of them as Cedar wants them.
pub(crate) struct Party {
    pub(crate) uid: EntityUid,
    pub(crate) ancestors: Vec<EntityUid>,
    pub(crate) entities: Vec<Entity>,
}

type Attributes = HashMap<String, RestrictedExpression>;

impl Vocabulary {
    /// Reads the schema's names. The error is a sentence, and means that the schema and this code disagree.
    pub(crate) fn new(schema: &Schema) -> Result<Self, String> {
        let mut types = HashMap::new();
        for name in [
            "Agent",
            "User",
            "Role",
            "Zone",
            "Target",
            "Database",
            "Schema",
            "Table",
            "Column",
            "Function",
            "Setting",
            "DataClass",
            "Action",
        ] {
            types.insert(name, name.parse::<EntityTypeName>().map_err(|e| e.to_string())?);
        }
        let declared = schema.action_entities().map_err(|e| e.to_string())?;
        let mut vocabulary = Self { types, actions: HashMap::new() };
        for action in Action::ALL {
            let uid = vocabulary.uid("Action", action.as_str()).map_err(|e| e.to_string())?;
            let entity = declared.get(&uid).ok_or_else(|| format!("the schema has no {uid}"))?.clone();
            let groups = declared.ancestors(&uid).into_iter().flatten().cloned().collect();
            vocabulary.actions.insert(action, ActionEntity { entity, groups });
        }
        Ok(vocabulary)
    }

    /// Whether the action is `named` or in the group `named`.
    pub(crate) fn action_is_in(&self, action: Action, named: &EntityUid) -> bool {
        self.actions.get(&action).is_some_and(|a| a.entity.uid() == *named || a.groups.contains(named))
    }

    /// Whether `named` is the action itself, not a group.
    pub(crate) fn action_is(&self, action: Action, named: &EntityUid) -> bool {
        self.actions.get(&action).is_some_and(|a| a.entity.uid() == *named)
    }

    /// The caller. Roles are those of the token's subject: the agent's own, or the person's it acts for.
    pub(crate) fn principal(&self, principal: &Principal) -> Result<Party, Reason> {
        if principal.roles.len() > MAX_ROLES {
            return Err(Reason::OverLimit);
        }
        let roles = self.roles(principal)?;
        let role_entities = roles.iter().map(|uid| Entity::new_no_attrs(uid.clone(), HashSet::new()));
        let subject = format!("{}/{}", segment(&principal.tenant_id)?, segment(&principal.object_id)?);
        if principal.kind == PrincipalKind::User {
            let uid = self.uid("User", &subject)?;
            let mut entities: Vec<Entity> = role_entities.collect();
            entities.push(entity(uid.clone(), subject_attributes(principal), roles.iter().cloned())?);
            return Ok(Party { uid, ancestors: roles, entities });
        }
        let id = principal.agent.as_ref().map_or(subject.as_str(), |name| name.as_str());
        let uid = self.uid("Agent", id)?;
        let mut entities: Vec<Entity> = role_entities.collect();
        let mut attributes = subject_attributes(principal);
        attributes.insert("registered".to_owned(), RestrictedExpression::new_bool(principal.agent.is_some()));
        if let Some(app_id) = &principal.app_id {
            segment(app_id)?;
            attributes.insert("app_id".to_owned(), RestrictedExpression::new_string(app_id.to_string()));
        }
        let mut own_roles = roles;
        if principal.kind == PrincipalKind::AgentForUser {
            let user = self.uid("User", &subject)?;
            let user_roles = std::mem::take(&mut own_roles);
            entities.push(entity(user.clone(), subject_attributes(principal), user_roles)?);
            attributes.insert("on_behalf_of_user".to_owned(), RestrictedExpression::new_entity_uid(user));
        }
        entities.push(entity(uid.clone(), attributes, own_roles.iter().cloned())?);
        Ok(Party { uid, ancestors: own_roles, entities })
    }

    /// The touched object and everything above it, up to the zone.
    pub(crate) fn resource(&self, session: &SessionFacts, resource: &Resource) -> Result<Party, Reason> {
        let zone = self.uid("Zone", session.zone.as_str())?;
        let mut uid = self.uid("Target", session.target.as_str())?;
        // The id of a data class is the same on every target, all others begin with the target's.
        let mut path = match resource {
            Resource::DataClass { .. } => String::new(),
            _ => session.target.as_str().to_owned(),
        };
        let mut entities = vec![
            Entity::new_no_attrs(zone.clone(), HashSet::new()),
            Entity::new_no_attrs(uid.clone(), HashSet::from([zone.clone()])),
        ];
        let mut ancestors = vec![zone];
        for (kind, name) in steps(resource) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&segment(name)?);
            let child = self.uid(kind, &path)?;
            let name = RestrictedExpression::new_string(name.to_owned());
            entities.push(entity(child.clone(), HashMap::from([("name".to_owned(), name)]), [uid.clone()])?);
            ancestors.push(std::mem::replace(&mut uid, child));
        }
        Ok(Party { uid, ancestors, entities })
    }

    /// The entities of one request, and its action's id.
    pub(crate) fn request(
        &self,
        principal: &Party,
        action: Action,
        resource: &Party,
    ) -> Result<(EntityUid, Entities), Reason> {
        let action = self.actions.get(&action).ok_or(Reason::PolicyError)?;
        let own = [&action.entity].into_iter();
        let all = own.chain(&principal.entities).chain(&resource.entities).cloned();
        let entities = Entities::from_entities(all, None).map_err(|_| Reason::PolicyError)?;
        Ok((action.entity.uid(), entities))
    }

    fn uid(&self, kind: &'static str, id: &str) -> Result<EntityUid, Reason> {
        let name = self.types.get(kind).ok_or(Reason::PolicyError)?;
        Ok(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
    }

    fn roles(&self, principal: &Principal) -> Result<Vec<EntityUid>, Reason> {
        let mut roles: Vec<&String> = principal.roles.iter().collect();
        roles.sort_unstable();
        roles.dedup();
        roles.into_iter().map(|role| bounded(role).and_then(|role| self.uid("Role", role))).collect()
    }
}

/// Whether the schema knows the action on this kind of object.
pub(crate) fn applies(action: Action, resource: &Resource) -> bool {
    match action {
        Action::Connect => matches!(resource, Resource::Target),
        Action::Unparsed | Action::PostgresEvaluate | Action::PostgresDo | Action::PostgresTransaction => {
            matches!(resource, Resource::Database { .. })
        }
        Action::PostgresSelect | Action::PostgresInsert | Action::PostgresUpdate => {
            matches!(resource, Resource::Table { .. } | Resource::Column { .. })
        }
        Action::PostgresDelete | Action::PostgresCreate | Action::PostgresLock => {
            matches!(resource, Resource::Table { .. })
        }
        Action::Unmask => matches!(resource, Resource::DataClass { .. }),
        Action::PostgresCall => matches!(resource, Resource::Function { .. }),
        Action::PostgresSet | Action::PostgresShow => matches!(resource, Resource::Setting { .. }),
    }
}

/// Type and name of each level below the target, outermost first.
fn steps(resource: &Resource) -> Vec<(&'static str, &str)> {
    match resource {
        Resource::Target => vec![],
        Resource::Database { database } => vec![("Database", database)],
        Resource::Table { database, schema, table } => {
            vec![("Database", database), ("Schema", schema), ("Table", table)]
        }
        Resource::Column { database, schema, table, column } => {
            vec![("Database", database), ("Schema", schema), ("Table", table), ("Column", column)]
        }
        Resource::Function { database, schema, function } => {
            vec![("Database", database), ("Schema", schema), ("Function", function)]
        }
        Resource::Setting { database, setting } => vec![("Database", database), ("Setting", setting)],
        Resource::DataClass { class } => vec![("DataClass", class)],
    }
}

fn subject_attributes(principal: &Principal) -> Attributes {
    let text = |value: &str| RestrictedExpression::new_string(value.to_owned());
    HashMap::from([
        ("tenant_id".to_owned(), text(&principal.tenant_id)),
        ("object_id".to_owned(), text(&principal.object_id)),
    ])
}

fn entity(
    uid: EntityUid,
    attributes: Attributes,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity, Reason> {
    Entity::new(uid, attributes, parents.into_iter().collect()).map_err(|_| Reason::PolicyError)
}

/// One segment of an id: '%' and '/' escaped, so that no two paths share an id.
fn segment(name: &str) -> Result<String, Reason> {
    Ok(bounded(name)?.replace('%', "%25").replace('/', "%2F"))
}

fn bounded(text: &str) -> Result<&str, Reason> {
    if text.len() > MAX_SEGMENT_BYTES { Err(Reason::OverLimit) } else { Ok(text) }
}
