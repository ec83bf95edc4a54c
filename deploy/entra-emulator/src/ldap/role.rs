//! The bind name: `cn=<role>,ou=postgres`, with the role exactly as the client wrote it. PostgreSQL puts
//! `ldapprefix`, role and `ldapsuffix` together without escaping and logs in as the unescaped role. Undoing escapes
//! (RFC 4514) here would check one role and let another in, so a role that would need one is refused.

const PREFIX: &str = "cn=";
const SUFFIX: &str = ",ou=postgres";
/// PostgreSQL's names are at most 63 bytes (`NAMEDATALEN` less one).
const MAX_ROLE: usize = 63;

/// The role in the name, or `None` if the name is not of that form.
pub(super) fn from_dn(dn: &str) -> Option<&str> {
    let role = dn.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?;
    let plain = !role.is_empty()
        && role.len() <= MAX_ROLE
        && !role.starts_with(['#', ' '])
        && !role.ends_with(' ')
        && !role.contains(is_special);
    plain.then_some(role)
}

fn is_special(character: char) -> bool {
    matches!(character, ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=') || character.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_what_stands_between() {
        assert_eq!(from_dn("cn=shop_standing,ou=postgres"), Some("shop_standing"));
        assert_eq!(from_dn("cn=Dana Doe@contoso.example,ou=postgres"), Some("Dana Doe@contoso.example"));
        assert_eq!(from_dn("cn=guest#EXT#@contoso.example,ou=postgres"), Some("guest#EXT#@contoso.example"));
    }

    #[test]
    fn names_that_could_mean_two_things_are_refused() {
        for dn in [
            "",
            "cn=,ou=postgres",
            "shop",
            "CN=shop,ou=postgres",
            "cn=shop,ou=postgres,",
            "cn=shop, ou=postgres",
            "cn=a,ou=postgres,ou=postgres",
            "cn=a\\2cb,ou=postgres",
            "cn=a+b,ou=postgres",
            "cn=a=b,ou=postgres",
            "cn=a\0b,ou=postgres",
            "cn= a,ou=postgres",
            "cn=a ,ou=postgres",
            "cn=#a,ou=postgres",
        ] {
            assert_eq!(from_dn(dn), None, "{dn:?}");
        }
        assert_eq!(from_dn(&format!("cn={},ou=postgres", "r".repeat(64))), None);
    }
}
