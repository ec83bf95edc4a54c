//! What an edge asks about: bounded, and read here again from its bytes.

use std::collections::BTreeSet;

use countersign_model::{Binding, Fact, Identity, Name, OperationContext, Reason, Resolution};
use countersign_sql::{
    Analysis, Inquiry, Limits, Refused, SearchPath, SettingChange, SettingUse, Sight, Statement,
    TransactionControl, analyse, context,
};
use countersign_wire::{MAX_CLASSES, v1};

use super::{ApprovalRefusal, binding};
use crate::{
    EdgeError,
    configuration::{classes, search_path},
    declared::Declared,
};

/// Rows that a resolution may have.
const MAX_NAMES: usize = 16_384;
/// Objects whose definitions may be attested.
const MAX_OBJECTS: usize = 4_096;
/// Settings that a session may have changed, and the longest name and value, in bytes.
const MAX_SETTINGS: usize = 64;
const MAX_SETTING_NAME: usize = 63;
const MAX_SETTING_VALUE: usize = 1_024;
/// Settings that decide what names mean.
const SETTINGS_OF_NAMES: [&str; 3] = ["role", "search_path", "session_authorization"];
/// Schemas on the effective path: those of a [`SearchPath`] and `pg_catalog`.
const MAX_SCHEMAS: usize = 33;
/// Statements that may go before it, and the longest of them together, in bytes.
const MAX_PREAMBLE: usize = 256;
const MAX_PREAMBLE_BYTES: usize = 64 * 1024;
/// Longest name of the catalog, in bytes. PostgreSQL's have at most 63.
const MAX_NAME: usize = 255;

/// An operation as the edge will send it, with what it attests beside the text.
#[derive(Clone)]
pub(super) struct Question {
    pub(super) statement: Vec<u8>,
    /// What it is executed with; `None` in the simple query protocol.
    pub(super) binding: Option<Binding>,
    pub(super) resolution: Resolution,
    pub(super) identity: Identity,
    pub(super) nonce: [u8; 16],
}

/// What the statement was found to touch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) facts: Vec<Fact>,
    pub(super) context: OperationContext,
}

impl Question {
    /// Takes a request apart. Every list is counted before anything is made of it.
    pub(super) fn of(request: v1::RequestApprovalRequest) -> Result<Self, ApprovalRefusal> {
        let identity = Identity::try_from(request.identity())
            .map_err(|_| EdgeError::Malformed("the identity is unknown"))?;
        let nonce = <[u8; 16]>::try_from(request.nonce.as_slice())
            .map_err(|_| EdgeError::Malformed("nonce must have 16 bytes"))?;
        let resolution = request.resolution.ok_or(EdgeError::Malformed("the resolution is missing"))?;
        if request.statement.len() > Limits::default().bytes || is_over_limit(&resolution) {
            return Err(ApprovalRefusal::Refused(Reason::OverLimit));
        }
        let resolution = Resolution::try_from(resolution)
            .map_err(|_| EdgeError::Malformed("the resolution is malformed"))?;
        let settings = &resolution.settings;
        // Those a connection has from its login alone, which is compared with the target's.
        if settings.iter().any(|(name, _)| SETTINGS_OF_NAMES.contains(&name.as_str())) {
            return Err(EdgeError::Malformed("a setting of the resolution decides what names mean").into());
        }
        if !settings.is_sorted_by(|(a, _), (b, _)| a < b) || !resolution.objects.is_sorted() {
            return Err(EdgeError::Malformed("settings or objects of the resolution are not sorted").into());
        }
        let binding = request.binding.map(binding::bound).transpose()?;
        Ok(Self { statement: request.statement, binding, resolution, identity, nonce })
    }

    /// Whether the connection that it attests is one of this target, as this role.
    pub(super) fn is_on(&self, target: &v1::TargetSpec, login_role: &str) -> bool {
        let Some(postgres) = &target.postgres else { return false };
        let Ok(path) = search_path(postgres).parse::<SearchPath>() else { return false };
        let Resolution { database, role, search_path, .. } = &self.resolution;
        **database == *postgres.database && **role == *login_role && *search_path == path.effective(role)
    }

    /// Whether each data class that it attests is one that this target has.
    pub(super) fn classes_are_of(&self, target: &Name, declared: &Declared) -> bool {
        let known: BTreeSet<String> = classes(target, declared).map(|class| class.name).collect();
        self.resolution.classes.iter().all(|class| known.contains(&**class))
    }

    /// Parses the bytes, as the edge did, and says what they touch if the names mean what the edge says. To be
    /// called on a thread for parsing.
    ///
    /// # Errors
    /// The reason why nothing can be decided: among them a resolution that the text cannot mean, a binding that it
    /// cannot have, and something else than the setting up of a transaction in front of it.
    pub(super) fn read(&self) -> Result<Reading, Reason> {
        let Resolution { database, search_path, names, in_transaction, preamble, classes, .. } =
            &self.resolution;
        let analysis = parse(&self.statement)?;
        binding::fits(self.binding.as_ref(), &analysis)?;
        let inquiry = Inquiry::of(&analysis, database, Sight::Clear).map_err(|refusal| refusal.reason)?;
        let inquiry = inquiry.on_path(search_path);
        inquiry.admits_on_path(search_path, names).map_err(|_| Reason::Unresolved)?;
        let mut facts = inquiry.facts(names).map_err(|refusal| refusal.reason)?;
        facts.extend(classes.iter().cloned().map(Fact::unmask));
        for step in preamble {
            if !sets_up_a_transaction(&parse(step.as_bytes())?) {
                return Err(Reason::Unparsed);
            }
        }
        Ok(Reading { facts, context: context(&analysis, *in_transaction) })
    }
}

fn is_over_limit(resolution: &v1::Resolution) -> bool {
    let v1::Resolution { database, role, search_path, settings, names, objects, preamble, classes, .. } =
        resolution;
    let setting = |setting: &v1::Setting| {
        setting.name.len() > MAX_SETTING_NAME || setting.value.len() > MAX_SETTING_VALUE
    };
    let name = |row: &v1::ResolvedName| {
        [&row.schema, &row.name, &row.first, &row.second].into_iter().any(|text| text.len() > MAX_NAME)
    };
    search_path.len() > MAX_SCHEMAS
        || settings.len() > MAX_SETTINGS
        || names.len() > MAX_NAMES
        || objects.len() > MAX_OBJECTS
        || classes.len() > MAX_CLASSES
        || preamble.len() > MAX_PREAMBLE
        || preamble.iter().map(String::len).sum::<usize>() > MAX_PREAMBLE_BYTES
        || [database, role].into_iter().chain(search_path).any(|text| text.len() > MAX_NAME)
        || settings.iter().any(setting)
        || names.iter().any(name)
}

fn parse(text: &[u8]) -> Result<Analysis, Reason> {
    analyse(text, &Limits::default()).map_err(|refused| match refused {
        Refused::Syntax { .. } | Refused::NotUtf8 { .. } | Refused::ZeroByte { .. } => Reason::Unparsable,
        Refused::Internal => Reason::Unparsed,
        _ => Reason::OverLimit,
    })
}

/// Whether a text does nothing but begin a transaction, place savepoints in it and set what lasts as long as it.
fn sets_up_a_transaction(analysis: &Analysis) -> bool {
    !analysis.statements.is_empty() && analysis.statements.iter().all(is_control)
}

fn is_control(statement: &Statement) -> bool {
    let Statement { unparsed, relations, functions, operators, types, settings, transaction, .. } = statement;
    let bare = relations.is_empty() && functions.is_empty() && operators.is_empty() && types.is_empty();
    let controls = match transaction {
        Some(TransactionControl::Commit { .. } | TransactionControl::Rollback { .. }) => false,
        Some(_) => true,
        None => !settings.is_empty(),
    };
    // `transaction_isolation` and its like are of the present transaction, however they are set.
    let local = settings.iter().all(|setting| match setting.change {
        SettingChange::Show => false,
        SettingChange::Set { local: true, .. } | SettingChange::Reset { local: true } => true,
        SettingChange::Set { .. } | SettingChange::Reset { .. } => {
            setting.name.starts_with("transaction_") && setting.name != "transaction_timeout"
        }
    });
    // Another role or search path would make the names behind it mean something else than was attested.
    let leaves_names = !settings.iter().any(SettingUse::changes_names);
    unparsed.is_none() && bare && controls && local && leaves_names
}
