//! A register with several names: symbolic links lead to one path, and a hard link to none that is
//! served twice.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::backup::{database, names, register, sqlite};
use crate::cli::Shell;
use crate::crash::{kill, serve, shell};
use crate::sumsub::World;

/// The names in the shell's directory.
fn here(shell: &Shell) -> Vec<String> {
    names(&shell.directory.0)
}

/// Moves the register into a directory of its own and leaves a link that leads there by another link.
fn linked(shell: &Shell) {
    let at = |name: &str| shell.directory.file(name);
    fs::create_dir(at("data")).unwrap();
    for name in here(shell).iter().filter(|it| it.starts_with("countersign.db")) {
        fs::rename(at(name), at("data").join(name.replace("countersign", "r"))).unwrap();
    }
    symlink("r.db", at("data/current.db")).unwrap();
    symlink("data/current.db", at("link.db")).unwrap();
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).unwrap().is_symlink()
}

#[test]
fn a_register_named_by_a_link_is_the_same_register_for_every_command() {
    let (shell, broker, customer) = register();
    let endpoints = shell.json(&["webhook", "list"]);
    let endpoint = endpoints["data"][0]["id"].as_str().unwrap();
    let secret = shell.run(&["webhook", "secret", endpoint]).ok();
    linked(&shell);
    let shell = shell.with(&[("COUNTERSIGN_DATABASE", "link.db")]);
    let before = (here(&shell), names(&shell.directory.file("data")));
    let parties = ["--granting", customer.as_str(), "--authorized", broker.as_str()];

    assert_eq!(shell.run(&["webhook", "secret", endpoint]).ok(), secret);
    shell.run(&["webhook", "test", endpoint]).ok();
    shell.run(&["org", "list"]).ok();
    shell.run(&[&["explain"], &parties[..]].concat()).ok();
    shell.run(&["inbox", "list"]).ok();
    shell.run(&["migrate", "--plan"]).ok();
    shell.run(&["migrate"]).ok();
    assert_eq!(shell.json(&["verify"])["webhookKey"], "fits");
    assert_eq!(shell.json(&["verify"])["path"], "data/r.db", "what is there, and not the link");

    let side = |it: &String| [".lock", "-wal", "-shm"].iter().all(|end| !it.ends_with(end));
    let after = names(&shell.directory.file("data"));
    assert_eq!(here(&shell), before.0, "nothing is beside the link");
    assert_eq!(
        after.iter().filter(|it| side(it)).collect::<Vec<_>>(),
        before.1.iter().filter(|it| side(it)).collect::<Vec<_>>()
    );
}

#[test]
fn backups_through_a_link_are_backups_of_the_register_that_it_leads_to() {
    let (shell, ..) = register();
    linked(&shell);
    fs::create_dir(shell.directory.file("kept")).unwrap();

    shell.run(&["backup", "kept", "--keep", "1", "--database", "data/r.db"]).ok();
    let made = shell.json(&["backup", "kept", "--keep", "1", "--database", "link.db"]);

    assert_eq!(made["removed"].as_array().unwrap().len(), 1, "both count for one register");
    let path = made["path"].as_str().unwrap();
    assert!(path.starts_with("kept/r-"), "{path}");
    assert_eq!(names(&shell.directory.file("kept")).len(), 2);
}

#[test]
fn a_restore_through_links_replaces_the_register_and_leaves_the_links() {
    let (shell, broker, _) = register();
    linked(&shell);
    let shell = shell.with(&[("COUNTERSIGN_DATABASE", "link.db")]);
    fs::create_dir(shell.directory.file("elsewhere")).unwrap();
    shell.run(&["backup", "elsewhere/copy.db"]).ok();
    symlink("elsewhere/copy.db", shell.directory.file("latest.db")).unwrap();
    assert_eq!(shell.json(&["verify", "latest.db"])["webhookKey"], "fits");
    let late = shell.organization(&["--type", "INDIVIDUAL", "--created-by", &broker]);
    fs::remove_file(shell.directory.file("data/r.db.webhook-key")).unwrap();

    let restored = shell.json(&["restore", "latest.db", "--force"]);

    assert_eq!(restored["webhookKey"], "fits", "the backup's key is beside its file");
    assert!(restored["aside"].as_str().unwrap().starts_with("data/r.db.replaced-"), "{restored}");
    for name in ["link.db", "data/current.db", "latest.db"] {
        assert!(is_link(&shell.directory.file(name)), "{name}");
    }
    for name in ["link.db", "data/r.db"] {
        assert_eq!(shell.run(&["org", "show", &late, "--database", name]).code, 3, "{name}");
    }
    assert_eq!(here(&shell), ["data", "elsewhere", "latest.db", "link.db"]);
    symlink("r.db", shell.directory.file("data/itself.db")).unwrap();
    let error = shell.run(&["restore", "data/itself.db"]).refused(1);
    assert!(error.contains("is the register itself"), "{error}");
}

#[test]
fn a_link_to_nothing_yet_leads_to_a_new_register_and_its_key() {
    let shell = Shell::new().with(&[("COUNTERSIGN_DATABASE", "link.db")]);
    fs::create_dir(shell.directory.file("data")).unwrap();
    symlink("data/r.db", shell.directory.file("link.db")).unwrap();

    let error = shell.run(&["org", "list"]).refused(5);
    assert!(error.contains("there is no register at data/r.db"), "{error}");
    shell.parties();

    let made = names(&shell.directory.file("data"));
    assert!(["r.db", "r.db.webhook-key"].iter().all(|it| made.contains(&(*it).to_owned())));
    assert_eq!(here(&shell), ["data", "link.db"]);
    assert!(is_link(&shell.directory.file("link.db")));
}

#[test]
fn links_that_lead_to_one_another_are_refused() {
    let shell = Shell::new().with(&[("COUNTERSIGN_DATABASE", "one.db")]);
    symlink("two.db", shell.directory.file("one.db")).unwrap();
    symlink("one.db", shell.directory.file("two.db")).unwrap();

    let error = shell.run(&["org", "list"]).refused(5);

    assert!(error.contains("cannot follow one.db: its symbolic links"), "{error}");
    assert_eq!(here(&shell), ["one.db", "two.db"]);
}

#[test]
fn a_server_and_a_command_beside_it_have_one_lock_and_one_key_by_whatever_link() {
    let world = World::in_real_time();
    let shell = shell(&world).with(&[("COUNTERSIGN_DATABASE", "link.db")]);
    fs::create_dir(shell.directory.file("data")).unwrap();
    symlink("data/r.db", shell.directory.file("link.db")).unwrap();
    let (server, _) = serve(&shell);
    shell.parties();

    let second = ["serve", "--listen", "127.0.0.1:0", "--database", "data/r.db"];
    let error = shell.run(&second).refused(5);

    assert!(error.contains("is served by process"), "{error}");
    assert_eq!(here(&shell), ["data", "link.db"]);
    assert_eq!(server.terminate(), 0);
}

#[test]
fn a_register_is_served_under_one_of_its_hard_links_only_and_read_under_that_one() {
    let world = World::in_real_time();
    let shell = shell(&world).with(&[("COUNTERSIGN_DATABASE", "countersign.db")]);
    // Its server creates this one.
    let (server, _) = serve(&shell);
    let id = server.0.id().to_string();
    fs::hard_link(database(&shell), shell.directory.file("second.db")).unwrap();
    shell.parties();

    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["org", "list"],
        &["org", "create", "--name", "x", "--type", "BUSINESS"],
        &["verify"],
        &["backup", "copy.db"],
        &["migrate", "--plan"],
        &["migrate"],
        &["restore", "countersign.db"],
    ] {
        let error = shell.run(&[command, &["--database", "second.db"]].concat());
        let is_itself = command[0] == "restore" && error.err.contains("is the register itself");
        let words = format!("is served by process {id} under another name");
        assert!(is_itself || error.err.contains(&words), "{command:?}: {error:?}");
        assert!(error.code != 0);
    }
    let doctor = shell.run(&["doctor", "--database", "second.db"]);
    assert!(doctor.out.contains("under another name"), "{}", doctor.out);
    assert!(shell.run(&["org", "list"]).ok().contains("Acme"), "its own name is as before");
    shell.run(&["backup", "copy.db"]).ok();
    let error = shell.run(&["restore", "second.db", "--database", "new.db"]).refused(5);
    assert!(error.contains("under another name"), "{error}");
    kill(server);

    // The log of a killed server is beside the first name: it is folded in there first.
    shell.run(&["org", "list"]).ok();
    let second = ["--database", "second.db"];
    assert!(shell.run(&[&["org", "list"][..], &second].concat()).ok().contains("Acme"));
    sqlite(&database(&shell)).query_row("SELECT 1", [], |_| Ok(())).unwrap();
    let (server, _) = serve(&shell);
    assert_eq!(server.terminate(), 0);
}

#[test]
fn the_servers_hold_on_its_file_leaves_commands_and_its_own_end_as_they_were() {
    let world = World::in_real_time();
    let shell = shell(&world);
    shell.parties();
    // As a restore that was killed between two steps leaves it.
    fs::hard_link(database(&shell), shell.directory.file("countersign.db.replaced-x")).unwrap();

    let (server, _) = serve(&shell);
    shell.organization(&["--type", "BUSINESS"]);
    assert_eq!(server.terminate(), 0);
    let (server, _) = serve(&shell);
    kill(server);

    shell.run(&["backup", "copy.db"]).ok();
    shell.run(&["restore", "copy.db"]).ok();
    assert_eq!(shell.json(&["verify"])["organizations"], 3);
}

#[test]
fn a_register_that_is_open_under_another_hard_link_is_not_served() {
    let world = World::in_real_time();
    let shell = shell(&world);
    shell.parties();
    let second = shell.directory.file("second.db");
    fs::hard_link(database(&shell), &second).unwrap();
    // As a console holds it that was opened under the second name.
    let console = fs::File::open(&second).unwrap();
    console.lock_shared().unwrap();

    let error = shell.run(&["serve", "--listen", "127.0.0.1:0"]).refused(5);

    assert!(error.contains("is open in another process"), "{error}");
    drop(console);
    let (server, _) = serve(&shell);
    assert_eq!(server.terminate(), 0);
}

#[test]
fn a_register_that_another_process_is_writing_asks_for_another_attempt_and_no_operator() {
    let world = World::in_real_time();
    let shell = shell(&world);
    shell.parties();
    let writer = sqlite(&database(&shell));
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();

    let error = shell.run(&["serve", "--listen", "127.0.0.1:0"]).refused(1);

    assert!(error.contains("another process is writing: try again in a moment"), "{error}");
}
