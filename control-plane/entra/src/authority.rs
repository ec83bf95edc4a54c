//! Where a tenant's Entra is: one base URL from which every other address is derived, never the other way round.

use std::sync::Arc;

use reqwest::Url;
use uuid::Uuid;

/// Why an authority cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Not an `https` URL with a host and without path, query, fragment or user.
    #[error("the authority must be an https URL of a host alone, such as https://login.microsoftonline.com")]
    Url,
    /// The tenant is not a GUID. Names such as `common` are refused: they admit tokens of any tenant.
    #[error("the tenant id must be a GUID")]
    Tenant,
}

/// The login endpoint of one tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    base: Url,
    tenant: Arc<str>,
}

impl Authority {
    /// `base` as in `https://login.microsoftonline.com`; `tenant` a GUID in any case.
    ///
    /// # Errors
    /// [`AuthorityError`] if either is not of that form.
    pub fn new(base: &str, tenant: &str) -> Result<Self, AuthorityError> {
        Self::with_scheme(base, tenant, "https")
    }

    fn with_scheme(base: &str, tenant: &str, scheme: &str) -> Result<Self, AuthorityError> {
        let base = Url::parse(base).map_err(|_| AuthorityError::Url)?;
        let bare = base.scheme() == scheme
            && base.host().is_some()
            && base.path() == "/"
            && base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty()
            && base.password().is_none();
        if !bare {
            return Err(AuthorityError::Url);
        }
        let tenant = guid(tenant).ok_or(AuthorityError::Tenant)?;
        Ok(Self { base, tenant: tenant.into() })
    }

    /// For tests against a plain server on loopback.
    #[cfg(test)]
    pub(crate) fn plain(base: &str, tenant: &str) -> Self {
        Self::with_scheme(base, tenant, "http").expect("authority")
    }

    /// The tenant, a lower-case GUID.
    pub fn tenant(&self) -> &Arc<str> {
        &self.tenant
    }

    /// The exact `iss` of this tenant's v2 tokens.
    pub fn issuer(&self) -> String {
        format!("{}/{}/v2.0", self.origin(), self.tenant)
    }

    /// Where the tenant's keys are announced.
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.issuer())
    }

    /// Where the tenant's tokens are asked for.
    pub fn token_url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.origin(), self.tenant)
    }

    /// Whether `url` has this authority's scheme, host and port.
    pub(crate) fn same_origin(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// Whether the host is this machine: then no proxy stands in between.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.base.host_str() {
            Some("localhost") => true,
            Some(host) => host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback()),
            None => false,
        }
    }

    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }
}

/// A hyphenated GUID in lower case; every other spelling of one is refused.
pub(crate) fn guid(text: &str) -> Option<String> {
    if text.len() != 36 {
        return None;
    }
    Uuid::try_parse(text).ok().map(|id| id.hyphenated().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "8A6B7F1E-52C3-4D3E-9C1B-0F2A51D7E900";

    #[test]
    fn addresses_follow_from_the_base() {
        let authority = Authority::new("https://login.microsoftonline.com", TENANT).unwrap();
        let tenant = TENANT.to_lowercase();
        assert_eq!(authority.issuer(), format!("https://login.microsoftonline.com/{tenant}/v2.0"));
        assert_eq!(
            authority.token_url(),
            format!("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token")
        );
        let with_port = Authority::new("https://127.0.0.1:8443/", TENANT).unwrap();
        assert_eq!(with_port.issuer(), format!("https://127.0.0.1:8443/{tenant}/v2.0"));
    }

    #[test]
    fn plain_http_paths_and_shared_tenants_are_refused() {
        for base in ["http://login.example", "https://login.example/x", "https://u@login.example", "login"] {
            assert_eq!(Authority::new(base, TENANT), Err(AuthorityError::Url), "{base}");
        }
        for tenant in ["common", "organizations", "", "contoso.com"] {
            assert_eq!(Authority::new("https://login.example", tenant), Err(AuthorityError::Tenant));
        }
    }
}
