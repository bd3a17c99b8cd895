use std::ffi::OsString;

use super::*;

const SECRETS: [&str; 3] = ["sumsub-app-token", "sumsub-secret-key", "sumsub-webhook-secret"];

fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

fn load(flags: &[(&'static str, &str)], pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let flags = flags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Config::load(&flags, &variables(pairs))
}

/// A file in a directory of this test's own, gone with the test.
fn secret_file(name: &str, content: &[u8]) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("countersign-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn source<'a>(config: &'a Config, name: &str) -> (&'a str, &'a Source) {
    let it = config.in_force.iter().find(|it| it.setting.name == name).unwrap();
    (it.shown(), &it.source)
}

#[test]
fn nothing_configured_is_a_test_server_on_loopback() {
    let config = load(&[], &[]).unwrap();

    assert_eq!(config.world, World::Test);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.valid_days_business, 365);
    assert_eq!(source(&config, "sumsub-secret-key"), ("not set", &Source::Default));
}

#[test]
fn a_flag_outranks_the_environment_which_outranks_the_default() {
    let pairs = [("COUNTERSIGN_DATABASE", "env.db"), ("COUNTERSIGN_SESSION_TTL", "600")];

    let config = load(&[("database", "flag.db")], &pairs).unwrap();

    assert_eq!(config.database, Path::new("flag.db"));
    assert_eq!(config.session_ttl_s, 600);
    assert_eq!(source(&config, "database"), ("flag.db", &Source::Flag));
    assert_eq!(source(&config, "session-ttl"), ("600", &Source::Environment));
    assert_eq!(source(&config, "import-mode"), ("reuse", &Source::Default));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let config = load(&[], &[("COUNTERSIGN_DATABASE", "")]).unwrap();

    assert_eq!(source(&config, "database"), ("countersign.db", &Source::Default));
}

#[test]
fn a_secret_file_loses_the_newline_at_its_end_and_nothing_else() {
    let path = secret_file("key", b"s3cret\r\n");
    let pairs = [("COUNTERSIGN_SUMSUB_SECRET_KEY_FILE", path.to_str().unwrap())];

    let config = load(&[], &pairs).unwrap();

    let it = config.in_force.iter().find(|it| it.setting.name == "sumsub-secret-key").unwrap();
    assert_eq!(it.value.as_ref().unwrap().expose(), "s3cret");
    assert_eq!(it.shown(), "set");
    assert_eq!(it.source, Source::File(path));
}

#[test]
fn a_secret_given_as_value_and_as_file_is_refused() {
    let pairs =
        [("COUNTERSIGN_SUMSUB_SECRET_KEY", "s3cret"), ("COUNTERSIGN_SUMSUB_SECRET_KEY_FILE", "x")];

    let error = load(&[], &pairs).unwrap_err().to_string();

    assert_eq!(
        error,
        "COUNTERSIGN_SUMSUB_SECRET_KEY and COUNTERSIGN_SUMSUB_SECRET_KEY_FILE are both set: keep \
         one of them"
    );
}

#[test]
fn a_secret_file_that_cannot_be_one_is_refused_with_its_path() {
    let files: [(&str, &[u8], &str); 14] = [
        ("nothing", b"", "it is empty"),
        ("empty", b"\n", "it is empty"),
        ("large", &[b'x'; 5000], "larger than 4096 bytes"),
        ("binary", &[0xff, 0xfe], "not ASCII"),
        ("lines", b"a\nb\n", "more than one line"),
        ("two-ends", b"SECRET\n\n", "more than one line"),
        ("cr", b"SECRET\r", "more than one line"),
        ("trailing", b"SECRET \n", "begins or ends with a blank"),
        ("leading", b"\tSECRET\n", "begins or ends with a blank"),
        ("inside", b"SEC RET\n", "holds a blank"),
        ("mark", b"\xef\xbb\xbfSECRET\n", "byte order mark"),
        ("nul", b"SECRET\0\n", "control character"),
        ("beyond", "SECR\u{c9}T".as_bytes(), "not ASCII"),
        ("no-break", "SECRET\u{a0}".as_bytes(), "not ASCII"),
    ];
    for (name, content, why) in files {
        let path = secret_file(name, content);

        let error =
            load(&[("sumsub-app-token", path.to_str().unwrap())], &[]).unwrap_err().to_string();

        assert!(error.contains(why) && error.contains(name), "{error}");
        assert!(!error.contains("SEC"), "{error}");
        let variable = std::str::from_utf8(content).unwrap_or_default();
        if !variable.trim_end_matches('\n').is_empty() && !variable.ends_with('\n') {
            let pairs = [("COUNTERSIGN_SUMSUB_APP_TOKEN", variable)];
            let refused = load(&[], &pairs).map(|_| ()).map_err(|it| it.to_string());
            assert!(variable.len() > 4096 || refused.is_err(), "{name}");
        }
    }
    let pairs = [("COUNTERSIGN_SUMSUB_SECRET_KEY", "Hidden ")];
    let error = load(&[], &pairs).unwrap_err().to_string();
    assert!(error.contains("COUNTERSIGN_SUMSUB_SECRET_KEY"), "{error}");
    assert!(error.contains("ends with a blank") && !error.contains("Hidden"), "{error}");
    let folder = std::env::temp_dir();
    let error = load(&[("sumsub-app-token", folder.to_str().unwrap())], &[]).unwrap_err();
    assert!(error.to_string().contains("irectory"), "{error}");
    let error = load(&[("sumsub-app-token", "/nowhere/at/all")], &[]).unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all: No such file"), "{error}");
}

#[test]
fn the_webhooks_secret_may_be_two_separated_by_a_comma_or_a_line_break() {
    let read = |text: &str| {
        let path = secret_file("webhook", text.as_bytes());
        let flags = [("sumsub-webhook-secret", path.to_str().unwrap())];
        let loaded = load(&flags, &COMPLETE).map_err(|it| it.to_string())?;
        let secrets = loaded.provider().unwrap().webhook_secrets;
        Ok::<_, String>(secrets.iter().map(|it| it.expose().to_owned()).collect::<Vec<_>>())
    };

    for text in ["new,old", "new\nold\n", "new\r\nold\r\n", " new , old \n", "\tnew\n old"] {
        assert_eq!(read(text).unwrap(), ["new", "old"], "{text:?}");
    }
    assert_eq!(read(" alone \n").unwrap(), ["alone"]);
    for (text, why) in [
        ("SEC,", "one of its secrets is empty"),
        ("SEC\n\nRET", "one of its secrets is empty"),
        ("SEC, ,RET", "one of its secrets is empty"),
        ("SEC,SEC", "the same secret twice"),
        ("SEC,RET,EYE", "more than two"),
        ("SEC RET", "a blank"),
        ("\n", "it is empty"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(why) && !error.contains("SEC"), "{text:?}: {error}");
    }
    let pairs = [("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "new,old")];
    assert_eq!(source(&load(&[], &pairs).unwrap(), "sumsub-webhook-secret").0, "set");
}

#[test]
fn a_wrong_value_is_refused_with_its_setting_its_source_and_what_is_accepted() {
    let wrong = [
        ("environment", "prod", "test or live"),
        ("listen", "localhost", "an IP address and a port"),
        ("sumsub-url", "ftp://api", "https://host"),
        ("sumsub-url", "https://api/path", "https://host"),
        ("sumsub-url", "https://api:", "https://host"),
        ("sumsub-url", "https://api:0", "https://host"),
        ("sumsub-url", "https://api:+443", "https://host"),
        ("sumsub-url", "https://api:65536", "https://host"),
        ("public-url", "https://[::1", "https://host"),
        ("public-url", "https://[v1.a]", "https://host"),
        ("public-url", "https://:443", "https://host"),
        ("session-ttl", "59", "60 to 86400"),
        ("import-mode", "steal", "reuse"),
        ("valid-days-business", "-1", "0 (for ever)"),
        ("connections-max", "0", "1 to 65536"),
        ("link-days", "0", "1 to 3650"),
        ("link-days", "3651", "1 to 3650"),
        ("client-address-header", "x-real-ip", "forwarded or x-forwarded-for"),
        ("log", "loud", "error, warn"),
    ];
    for (name, value, accepted) in wrong {
        let error = load(&[(name, value)], &[]).unwrap_err().to_string();

        assert!(error.starts_with(&format!("{name} (from flag) is \"{value}\"")), "{error}");
        assert!(error.contains(accepted), "{error}");
    }
    let error = load(&[], &[("COUNTERSIGN_SUMSUB_URL", "https://me:pass@api")]).unwrap_err();
    assert!(!error.to_string().contains("pass"), "{error}");
}

/// A browser names a page's origin in lower case and without the scheme's own port; any other
/// spelling of the same address would make every button of the pages "another site".
#[test]
fn an_address_with_capitals_or_its_own_port_is_the_origin_that_a_browser_names() {
    for (given, origin) in [
        ("https://Verify.Example.com", "https://verify.example.com"),
        ("https://verify.example.com:443/", "https://verify.example.com"),
        ("HTTPS://VERIFY.example.com:0443", "https://verify.example.com"),
        ("https://verify.example.com:80", "https://verify.example.com:80"),
        ("https://verify.example.com:8443", "https://verify.example.com:8443"),
        ("http://LocalHost:80", "http://localhost"),
        ("http://127.0.0.1:443", "http://127.0.0.1:443"),
        ("https://[2001:DB8:0:0:0:0:0:1]:443", "https://[2001:db8::1]"),
        ("http://[0:0:0:0:0:0:0:1]:8080", "http://[::1]:8080"),
    ] {
        let config = load(&[("public-url", given)], &[]).unwrap();
        assert_eq!(config.public_url.as_deref(), Some(origin), "{given}");
    }
    let config = load(&[("sumsub-url", "https://API.sumsub.com:443/")], &COMPLETE).unwrap();
    assert_eq!(config.provider().unwrap().url, "https://api.sumsub.com");
}

#[test]
fn everything_that_sumsub_needs_and_is_missing_is_named_at_once() {
    for world in ["test", "live"] {
        let config = load(&[("environment", world)], &[]).unwrap();

        let error = config.provider().unwrap_err().to_string();

        for name in SECRETS {
            let variable = format!("COUNTERSIGN_{}", name.to_uppercase().replace('-', "_"));
            assert!(
                error
                    .contains(&format!("{name}: set {variable}, {variable}_FILE or --{name}-file"))
            );
        }
        assert!(error.contains("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS"), "{error}");
    }
}

const COMPLETE: [(&str, &str); 5] = [
    ("COUNTERSIGN_SUMSUB_APP_TOKEN", "sbx:Tok.en"),
    ("COUNTERSIGN_SUMSUB_SECRET_KEY", "Hidden1"),
    ("COUNTERSIGN_SUMSUB_WEBHOOK_SECRET", "Hidden2"),
    ("COUNTERSIGN_SUMSUB_LEVEL_BUSINESS", "kyb"),
    ("COUNTERSIGN_SUMSUB_LEVEL_INDIVIDUAL", "kyc"),
];

#[test]
fn secrets_leave_the_machine_only_encrypted_and_never_from_live_in_clear() {
    let provider = |world, url| {
        let config = load(&[("environment", world), ("sumsub-url", url)], &COMPLETE).unwrap();
        config.provider().map(|it| it.url)
    };

    for loopback in ["http://127.0.0.1:9", "http://localhost:9/", "http://[::1]:9"] {
        assert_eq!(provider("test", loopback).unwrap(), loopback.trim_end_matches('/'));
        assert!(matches!(provider("live", loopback), Err(ConfigError::NotEncrypted { .. })));
    }
    for far in ["http://api.sumsub.com", "http://10.0.0.1", "http://localhost.example"] {
        assert!(matches!(provider("test", far), Err(ConfigError::NotEncrypted { .. })), "{far}");
    }
}

#[test]
fn an_app_token_of_the_other_environment_is_refused() {
    let live = load(&[("environment", "live")], &COMPLETE).unwrap();

    let error = live.provider().unwrap_err().to_string();

    assert!(error.contains("sandbox") && error.contains("COUNTERSIGN_ENVIRONMENT"), "{error}");
    assert!(load(&[], &COMPLETE).unwrap().provider().is_ok());
}

#[test]
fn no_debug_text_holds_a_secret() {
    let config = load(&[], &COMPLETE).unwrap();

    let text = format!("{config:?} {:?} {:?}", config.provider(), variables(&COMPLETE));

    for secret in ["Tok", "Hidden"] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn a_misspelt_variable_of_ours_is_noticed() {
    let pairs =
        [("COUNTERSIGN_DATABSE", "x"), ("COUNTERSIGN_DATABASE_FILE", "x"), ("HOME", "/root")];

    assert_eq!(
        variables(&pairs).unknown(),
        ["COUNTERSIGN_DATABASE_FILE", "COUNTERSIGN_DATABSE"].map(str::to_owned)
    );
}

#[test]
fn sudos_word_is_a_number_or_nothing() {
    assert_eq!(variables(&[("SUDO_UID", "1000")]).sudo_uid(), Some(1000));
    for word in ["", "ada", "-1", "4294967296"] {
        assert_eq!(variables(&[("SUDO_UID", word)]).sudo_uid(), None, "{word}");
    }
    assert_eq!(variables(&[]).sudo_uid(), None);
}

#[test]
fn names_flags_and_variables_are_unique() {
    for (index, setting) in SETTINGS.iter().enumerate() {
        assert!(SETTINGS.iter().skip(index + 1).all(|it| it.flag != setting.flag));
        assert!(!setting.doc.ends_with('.') && setting.doc.len() < 80);
    }
}

#[test]
fn receivers_are_addresses_and_networks_each_at_one_port_or_at_all() {
    let read = |text: &str| {
        let listed = load(&[("webhook-allow", text)], &[]).map(|it| it.webhook_allow);
        listed.map(|it| it.iter().map(|(net, port)| format!("{net} {port:?}")).collect::<Vec<_>>())
    };
    for (text, listed) in [
        ("none", &[][..]),
        ("127.0.0.1", &["127.0.0.1/32 None"]),
        ("127.0.0.1:9000, 10.1.2.3/8", &["127.0.0.1/32 Some(9000)", "10.0.0.0/8 None"]),
        ("10.0.0.0/8:443", &["10.0.0.0/8 Some(443)"]),
        ("::1,fd00::/8", &["::1/128 None", "fd00::/8 None"]),
        ("[::1]:9000,[fd00::/8]:9000", &["::1/128 Some(9000)", "fd00::/8 Some(9000)"]),
        ("::1/128:80,fd00::/8:9000", &["::1/128 Some(80)", "fd00::/8 Some(9000)"]),
        ("[::1]", &["::1/128 None"]),
        ("::ffff:127.0.0.1,[::ffff:10.0.0.0/104]:1", &["127.0.0.1/32 None", "10.0.0.0/8 Some(1)"]),
    ] {
        assert_eq!(read(text).unwrap(), listed, "{text}");
    }
    let many = vec!["::1"; 257].join(",");
    for wrong in [
        "localhost",
        "localhost:9000",
        "127.1",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:+80",
        "127.0.0.1/33",
        "127.0.0.1/8/8",
        "[127.0.0.1]:80",
        "fd00::/129:9000",
        "[::1:9000",
        "[::1]9000",
        "127.0.0.1,",
        "none,127.0.0.1",
        &many,
    ] {
        assert!(matches!(read(wrong), Err(ConfigError::Invalid { .. })), "{wrong}");
    }
}

#[test]
fn those_who_wait_must_leave_connections_for_others() {
    let waits = |flags: &[(&'static str, &str)]| load(flags, &[]).map(|it| it.waits_max);

    assert_eq!(waits(&[]).unwrap(), 1024);
    assert_eq!(waits(&[("connections-max", "100")]).unwrap(), 50);
    assert_eq!(waits(&[("connections-max", "1")]).unwrap(), 0);
    assert_eq!(waits(&[("connections-max", "100"), ("waits-max", "79")]).unwrap(), 79);
    let error = waits(&[("waits-max", "5000")]).unwrap_err().to_string();
    assert!(error.contains("waits-max is 5000 and connections-max is 2048"), "{error}");
    assert!(
        error.contains("(1250) may wait") && error.contains("raise connections-max"),
        "{error}"
    );
    assert!(waits(&[("connections-max", "100"), ("waits-max", "80")]).is_err());
}

#[test]
fn a_proxy_has_a_host_and_a_port_and_its_password_is_masked_and_no_flags_value() {
    let read = |text: &str| load(&[], &[("COUNTERSIGN_SUMSUB_PROXY", text)]);
    for (text, shown) in [
        ("none", "none"),
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://127.0.0.1:80/", "http://127.0.0.1:80/"),
        ("http://[::1]:3128", "http://[::1]:3128"),
        ("http://ada:hidden@proxy:3128", "http://ada:***@proxy:3128"),
        ("http://ada:hidd%40en@proxy:3128", "http://ada:***@proxy:3128"),
    ] {
        let config = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(source(&config, "sumsub-proxy").0, shown);
        assert!(!format!("{config:?}").contains("hidd"), "{config:?}");
    }
    for wrong in [
        "proxy:3128",
        "http://proxy",
        "https://proxy:3128",
        "socks5://proxy:1080",
        "http://proxy:3128/path",
        "http://proxy:0",
        "http://:3128",
        "http://hidden@proxy:3128",
        "http://:hidden@proxy:3128",
        "http://ada:hidd%FFen@proxy:3128",
        "http://ada:hidden/proxy:3128",
        "http://ada:hidd/en@proxy:3128",
        "http://ada:12/hidd@proxy:3128",
        "http://ada:hidd?en@proxy:3128",
        "http://ada:hidd#en@proxy:3128",
        "http://ada:hidd@en@proxy:3128",
    ] {
        let error = read(wrong).err().unwrap_or_else(|| panic!("{wrong}")).to_string();
        assert!(error.contains("http://[user:password@]host:port"), "{error}");
        assert!(!error.contains("hidd"), "{error}");
    }
    let flag = load(&[("sumsub-proxy", "http://ada:hidden@proxy:3128")], &[]).unwrap_err();
    assert!(matches!(flag, ConfigError::LoginInFlag(_)) && !flag.to_string().contains("hidden"));
    assert!(load(&[("sumsub-proxy", "http://proxy:3128")], &[]).is_ok());
}

#[test]
fn a_loopback_sumsub_has_no_proxy() {
    let proxy = ("COUNTERSIGN_SUMSUB_PROXY", "http://proxy:3128");
    let pairs = [&COMPLETE[..], &[proxy]].concat();
    let through = |url| {
        let provider = load(&[("sumsub-url", url)], &pairs).unwrap().provider().unwrap();
        provider.proxy.map(|it| it.port())
    };

    assert_eq!(through("https://api.sumsub.com"), Some(3128));
    for loopback in
        ["http://127.0.0.1:9", "http://localhost", "https://[::1]:9", "http://127.9.9.9"]
    {
        assert_eq!(through(loopback), None, "{loopback}");
    }
}
