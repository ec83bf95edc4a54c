//! The deployment's own keys: the certificate authority that names edges, the key that signs what edges must believe,
//! the key of the OIDC issuer that Entra trusts through federated credentials, the one that seals approvals, and the
//! file of the one that opens recordings.
//!
//! Private keys live in files of mode 0600 and a file that others can read is refused, not repaired: its content must
//! be taken as known.

mod approvals_key;
mod ca;
mod edge_key;
mod identity;
mod issuer_key;
mod key_file;
mod pem;
mod secret;
mod signature;

pub use approvals_key::{ApprovalsKey, SealError};
pub use ca::{BACKDATE, Ca, CaError, EDGE_VALIDITY, IssuedEdge, ServerCertificate};
pub use edge_key::EdgeKey;
pub use identity::{EdgeIdentity, IdentityError};
pub use issuer_key::{IssuerKey, Jwk};
pub use key_file::{KeyFileError, create_private, read_private};
pub use pem::to_pem;
pub use secret::load_or_create_secret;
pub use signature::{BadSignature, DeploymentKey, Domain, verify};
