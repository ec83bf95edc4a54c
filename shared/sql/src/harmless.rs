//! Functions of `pg_catalog` that policy need not name.
//!
//! On the list: what computes from its arguments alone, reads the clock, tells the session who and where it is, or
//! gives back what only the session holds (`pg_advisory_unlock_all`).
//! Not on it, among others: what executes SQL given as text (`query_to_xml`, `ts_stat`, `ts_rewrite`), reads or writes
//! files, large objects, sequences or settings (`current_setting` would be a way around SHOW), signals or locks
//! (`pg_advisory_lock`), waits (`pg_sleep`), calls other servers, prints definitions (`pg_get_viewdef`), or tells which
//! objects and roles there are (`format_type`, `has_table_privilege`). Those are pairs for policy to decide.

/// Whether every function of that name in `pg_catalog` is harmless. The caller makes sure that the name resolves
/// there: a function of the same name in another schema is not covered.
pub fn known_harmless(name: &str) -> bool {
    HARMLESS.binary_search(&name).is_ok()
}

/// Sorted. Names of types are the functions behind casts in function notation.
#[rustfmt::skip]
const HARMLESS: [&str; 367] = [
    "abbrev", "abs", "acos", "acosd", "acosh", "age", "any_value", "area", "array_agg", "array_append",
    "array_cat", "array_dims", "array_fill", "array_length", "array_lower", "array_ndims",
    "array_position", "array_positions", "array_prepend", "array_remove", "array_replace",
    "array_reverse", "array_sample", "array_shuffle", "array_sort", "array_to_json", "array_to_string",
    "array_to_tsvector", "array_upper", "ascii", "asin", "asind", "asinh", "atan", "atan2", "atan2d",
    "atand", "atanh", "avg", "bernoulli", "bit_and", "bit_count", "bit_length", "bit_or", "bit_xor",
    "bool", "bool_and", "bool_or", "box", "bpchar", "broadcast", "btrim", "cardinality", "casefold",
    "cbrt", "ceil", "ceiling", "center", "char", "char_length", "character_length", "chr", "circle",
    "clock_timestamp", "concat", "concat_ws", "convert_from", "convert_to", "corr", "cos", "cosd", "cosh",
    "cot", "cotd", "count", "covar_pop", "covar_samp", "crc32", "crc32c", "cume_dist", "current_catalog",
    "current_database", "current_role", "current_schema", "current_schemas", "current_user", "date",
    "date_add", "date_bin", "date_part", "date_subtract", "date_trunc", "decode", "degrees", "dense_rank",
    "diameter", "div", "encode", "erf", "erfc", "every", "exp", "extract", "factorial", "family",
    "first_value", "float4", "float8", "floor", "format", "gamma", "gcd", "gen_random_uuid",
    "generate_series", "generate_subscripts", "get_bit", "get_byte", "grouping", "height", "host",
    "hostmask", "initcap", "int2", "int4", "int8", "interval", "is_normalized", "isempty", "isfinite",
    "isopen", "json_agg", "json_array_elements", "json_array_elements_text", "json_array_length",
    "json_build_array", "json_build_object", "json_each", "json_each_text", "json_extract_path",
    "json_extract_path_text", "json_object", "json_object_agg", "json_object_keys", "json_strip_nulls",
    "json_typeof", "jsonb_agg", "jsonb_array_elements", "jsonb_array_elements_text", "jsonb_array_length",
    "jsonb_build_array", "jsonb_build_object", "jsonb_each", "jsonb_each_text", "jsonb_extract_path",
    "jsonb_extract_path_text", "jsonb_insert", "jsonb_object", "jsonb_object_agg", "jsonb_object_keys",
    "jsonb_path_exists", "jsonb_path_match", "jsonb_path_query", "jsonb_path_query_array",
    "jsonb_path_query_first", "jsonb_pretty", "jsonb_set", "jsonb_set_lax", "jsonb_strip_nulls",
    "jsonb_typeof", "justify_days", "justify_hours", "justify_interval", "lag", "last_value", "lcm",
    "lead", "left", "length", "lgamma", "like", "like_escape", "ln", "log", "log10", "lower", "lower_inc",
    "lower_inf", "lpad", "lseg", "ltrim", "macaddr", "make_date", "make_interval", "make_time",
    "make_timestamp", "make_timestamptz", "masklen", "max", "md5", "min", "min_scale", "mod", "mode",
    "money", "multirange", "name", "netmask", "network", "normalize", "notlike", "now", "npoints",
    "nth_value", "ntile", "num_nonnulls", "num_nulls", "numeric", "numnode", "octet_length", "oid",
    "overlaps", "overlay", "parse_ident", "path", "percent_rank", "percentile_cont", "percentile_disc",
    "pg_advisory_unlock_all", "pg_backend_pid", "pg_client_encoding", "pg_collation_for",
    "pg_collation_is_visible", "pg_column_size", "pg_function_is_visible", "pg_operator_is_visible",
    "pg_table_is_visible", "pg_type_is_visible", "phraseto_tsquery", "pi", "plainto_tsquery", "point",
    "polygon", "position", "power", "querytree", "quote_ident", "quote_literal", "quote_nullable",
    "radians", "radius", "random", "random_normal", "range_agg", "range_intersect_agg", "range_merge",
    "rank", "regexp_count", "regexp_instr", "regexp_like", "regexp_match", "regexp_matches",
    "regexp_replace", "regexp_split_to_array", "regexp_split_to_table", "regexp_substr", "regr_avgx",
    "regr_avgy", "regr_count", "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy",
    "regr_syy", "repeat", "replace", "reverse", "right", "round", "row_number", "row_to_json", "rpad",
    "rtrim", "scale", "session_user", "set_bit", "set_byte", "set_masklen", "setweight", "sha224",
    "sha256", "sha384", "sha512", "sign", "similar_to_escape", "sin", "sind", "sinh", "split_part",
    "sqrt", "starts_with", "statement_timestamp", "stddev", "stddev_pop", "stddev_samp", "string_agg",
    "string_to_array", "string_to_table", "strip", "strpos", "substr", "substring", "sum", "system",
    "system_user", "tan", "tand", "tanh", "text", "time", "timeofday", "timestamp", "timestamptz",
    "timetz", "timezone", "to_ascii", "to_bin", "to_char", "to_date", "to_hex", "to_json", "to_jsonb",
    "to_number", "to_oct", "to_timestamp", "to_tsquery", "to_tsvector", "transaction_timestamp",
    "translate", "trim_array", "trim_scale", "trunc", "ts_delete", "ts_filter", "ts_headline", "ts_rank",
    "ts_rank_cd", "tsvector_to_array", "unistr", "unnest", "upper", "upper_inc", "upper_inf", "user",
    "uuid_extract_timestamp", "uuid_extract_version", "uuidv4", "uuidv7", "var_pop", "var_samp",
    "varchar", "variance", "version", "websearch_to_tsquery", "width", "width_bucket", "xml",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_without_repetition() {
        assert!(HARMLESS.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn knows_what_computes_and_nothing_that_acts() {
        for name in ["count", "lower", "now", "version", "row_number", "extract"] {
            assert!(known_harmless(name), "{name}");
        }
        let acting = [
            "set_config",
            "current_setting",
            "pg_sleep",
            "pg_sleep_for",
            "nextval",
            "setval",
            "currval",
            "lastval",
            "lo_import",
            "lo_export",
            "lo_get",
            "pg_read_file",
            "pg_read_binary_file",
            "pg_ls_dir",
            "dblink",
            "dblink_exec",
            "query_to_xml",
            "table_to_xml",
            "cursor_to_xml",
            "database_to_xml",
            "xpath",
            "ts_stat",
            "ts_rewrite",
            "pg_terminate_backend",
            "pg_cancel_backend",
            "pg_advisory_lock",
            "pg_notify",
            "pg_get_viewdef",
            "format_type",
            "pg_typeof",
            "has_table_privilege",
            "pg_has_role",
            "pg_get_functiondef",
            "txid_current",
            "pg_current_xact_id",
            "pg_relation_size",
            "pg_stat_file",
            "setseed",
            "pg_export_snapshot",
            "pg_reload_conf",
            "inet_server_addr",
            "",
            "COUNT",
        ];
        for name in acting {
            assert!(!known_harmless(name), "{name}");
        }
    }
}
