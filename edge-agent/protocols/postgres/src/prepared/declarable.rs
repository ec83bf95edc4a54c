//! The types that a client may declare for its parameters.
//!
//! A declared type is no part of the text, so no name of it is looked up; and the target reads the value by the type's
//! own function. So a type may be declared only if that function neither reads the catalog (`regclass` and its like tell
//! which objects there are, row types what columns they have) nor is anybody's own.

/// Whether it is a built-in type, or an array of one, whose values stand for nothing but themselves.
pub(crate) fn declarable(oid: u32) -> bool {
    DECLARABLE.binary_search(&oid).is_ok()
}

/// Object ids of PostgreSQL's `pg_type.dat`, which never change. Sorted. 705 is `unknown`.
#[rustfmt::skip]
const DECLARABLE: [u32; 109] = [
    16, 17, 18, 19, 20, 21, 23, 25, 26, 114, 142, 143, 199, 600, 601, 602, 603, 604, 628, 629, 650, 651, 700,
    701, 705, 718, 719, 774, 775, 790, 791, 829, 869, 1000, 1001, 1002, 1003, 1005, 1007, 1009, 1014, 1015,
    1016, 1017, 1018, 1019, 1020, 1021, 1022, 1027, 1028, 1040, 1041, 1042, 1043, 1082, 1083, 1114, 1115,
    1182, 1183, 1184, 1185, 1186, 1187, 1231, 1266, 1270, 1560, 1561, 1562, 1563, 1700, 2950, 2951, 3220,
    3221, 3614, 3615, 3643, 3645, 3802, 3807, 3904, 3905, 3906, 3907, 3908, 3909, 3910, 3911, 3912, 3913,
    3926, 3927, 4072, 4073, 4451, 4532, 4533, 4534, 4535, 4536, 6150, 6151, 6152, 6153, 6155, 6157,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_without_repetition() {
        assert!(DECLARABLE.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_reads_the_catalog_or_is_somebodys_own_is_not_on_it() {
        // reg* and an array of one, aclitem, the rows of catalogs, the first object that a user makes.
        for oid in [
            24, 2202, 2203, 2204, 2205, 2206, 3734, 3769, 4089, 4096, 4191, 1008, 2210, 1033, 1034, 71, 83,
            16_384,
        ] {
            assert!(!declarable(oid), "{oid}");
        }
        for oid in [23, 25, 1700, 1007, 3802] {
            assert!(declarable(oid), "{oid}");
        }
    }
}
