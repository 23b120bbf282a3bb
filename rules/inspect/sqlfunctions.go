package inspect

// harmlessFunctions are those of the databases' own that neither change anything
// nor reach outside of the database, in any of the dialects. A statement that
// calls any other is not read-only: a function that somebody has defined can do
// all that a statement can, and so can some of the databases' own (query_to_xml,
// ts_stat, dblink, lo_import, load_file, load_extension, set_config, nextval,
// pg_sleep, sleep, benchmark, get_lock).
var harmlessFunctions = words(`
	abs acos asin atan atan2 cbrt ceil ceiling conv cos cot degrees div exp factorial floor gcd greatest lcm least ln log log10 log2
	mod pi pow power radians rand random round sign sin sqrt tan trunc truncate width_bucket

	ascii bin bit_length btrim char char_length character_length chr concat concat_ws convert decode elt encode field
	find_in_set format hex initcap insert instr lcase left length like like_escape locate lower lpad ltrim md5 mid normalize
	octet_length ord overlay position printf quote quote_ident quote_literal quote_nullable regexp regexp_count
	regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
	regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha1 sha2 sha224 sha256 sha384 sha512 soundex
	split_part starts_with strcmp string_to_array string_to_table strpos substr substring substring_index
	to_ascii to_hex translate trim ucase unhex unicode unistr upper similar_to_escape glob crc32 space

	adddate addtime age clock_timestamp convert_tz curdate current_date current_time current_timestamp curtime
	date date_add date_bin date_format date_part date_sub date_trunc datediff datetime day dayname dayofmonth dayofweek
	dayofyear extract from_days from_unixtime hour isfinite julianday justify_days justify_hours justify_interval last_day
	localtime localtimestamp make_date make_interval make_time make_timestamp make_timestamptz makedate maketime
	microsecond minute month monthname now overlaps period_add period_diff quarter sec_to_time second
	statement_timestamp str_to_date strftime subdate subtime sysdate time time_format time_to_sec timediff timestamp
	timestampadd timestampdiff timezone to_char to_date to_days to_number to_seconds to_timestamp
	transaction_timestamp unix_timestamp unixepoch utc_date utc_time utc_timestamp week weekday weekofyear year yearweek

	any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every
	group_concat grouping json_agg json_arrayagg json_group_array json_group_object json_object_agg
	json_objectagg jsonb_agg jsonb_object_agg max min mode percentile_cont percentile_disc regr_avgx regr_avgy
	regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy std stddev stddev_pop
	stddev_samp string_agg sum total var_pop var_samp variance median
	cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number

	array_append array_cat array_dims array_length array_lower array_ndims array_position array_positions
	array_prepend array_remove array_replace array_to_json array_to_string array_upper cardinality generate_series
	generate_subscripts unnest
	coalesce cast if ifnull iif isnull nullif nvl num_nonnulls num_nulls interval typeof pg_typeof likelihood likely unlikely

	json json_array json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
	json_contains json_contains_path json_depth json_each json_each_text json_extract json_extract_path
	json_extract_path_text json_insert json_keys json_length json_merge_patch json_merge_preserve json_object
	json_object_keys json_overlaps json_patch json_pretty json_quote json_remove json_replace json_search json_set
	json_strip_nulls json_table json_tree json_type json_typeof json_unquote json_valid json_value
	jsonb jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
	jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object jsonb_object_keys
	jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_pretty
	jsonb_set jsonb_strip_nulls jsonb_typeof row_to_json to_json to_jsonb member

	plainto_tsquery phraseto_tsquery setweight similarity to_tsquery to_tsvector ts_headline ts_rank ts_rank_cd
	websearch_to_tsquery
	inet_aton inet_ntoa inet6_aton inet6_ntoa host masklen netmask network
	current_catalog current_database current_role current_schema current_schemas current_user database schema session_user
	system_user user version sqlite_version found_rows row_count changes last_insert_rowid
	col_description format_type has_column_privilege has_schema_privilege has_table_privilege obj_description
	pg_get_constraintdef pg_get_expr pg_get_indexdef pg_get_viewdef pg_relation_size pg_size_pretty
	pg_table_is_visible pg_table_size pg_total_relation_size to_regclass
	gen_random_uuid uuid uuid_to_bin bin_to_uuid is_uuid row values
`)
