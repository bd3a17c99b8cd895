//! Who the operator is, as the register records it.
//!
//! The kernel says who they are, and the system's user database what they are called. The environment
//! is not believed: whoever starts a program chooses its variables.
//!
//! - `operator:ada`: the process's real user is ada. A user id without a login is `uid:N`.
//! - `operator:ada (as root)`: ada logged in, and the process's real user is root: sudo, su or
//!   `countersign-operator`. Who logged in is the kernel's login uid, which `pam_loginuid` sets once
//!   and which every later change of user leaves as it is (`proc_pid_loginuid(5)`). Until it is set,
//!   any process may set its own, so the real user stays part of the record.
//! - `operator:root (SUDO_UID says ada)`: the kernel knows no login, as in most containers. `SUDO_UID`
//!   is a variable like any other, so it is recorded as a claim, and only root's: root could write
//!   anything into the register.

use nix::unistd::{Uid, User};
use rustix::process::getuid;

use crate::config::Variables;

const LOGIN_UID: &str = "/proc/self/loginuid";
/// The login uid of a process that no login led to: `(uid_t) -1`.
const NO_LOGIN: u32 = u32::MAX;
const ROOT: u32 = 0;
/// Linux takes 32 characters; directories such as LDAP may have longer ones.
const LOGIN_CHARACTERS_MAX: usize = 64;

/// The user ids that say who runs this process.
#[derive(Clone, Copy, Debug)]
struct Ids {
    real: u32,
    session: Option<u32>,
    /// What `SUDO_UID` says.
    claimed: Option<u32>,
}

/// What the register records of whoever runs this process.
pub(super) fn actor(variables: &Variables) -> String {
    let session = std::fs::read_to_string(LOGIN_UID).ok().and_then(|it| it.trim().parse().ok());
    let ids = Ids {
        real: getuid().as_raw(),
        session: session.filter(|it| *it != NO_LOGIN),
        claimed: variables.sudo_uid(),
    };
    actor_of(ids, |uid| Some(User::from_uid(Uid::from_raw(uid)).ok()??.name))
}

fn actor_of(ids: Ids, login_of: impl Fn(u32) -> Option<String>) -> String {
    let name = |uid| {
        let login = login_of(uid).map(|it| cleaned(&it)).filter(|it| !it.is_empty());
        login.unwrap_or_else(|| format!("uid:{uid}"))
    };
    let real = name(ids.real);
    match (ids.session, ids.claimed) {
        (Some(session), _) if session != ids.real => {
            format!("operator:{} (as {real})", name(session))
        }
        (None, Some(claimed)) if ids.real == ROOT && claimed != ROOT => {
            format!("operator:{real} (SUDO_UID says {})", name(claimed))
        }
        _ => format!("operator:{real}"),
    }
}

/// A login as it may stand in the form above: directories allow spaces, brackets and colons in theirs,
/// by which one user could look like two.
fn cleaned(login: &str) -> String {
    let is_plain = |it: char| it.is_alphanumeric() || "._-@+$\\".contains(it);
    login.chars().take(LOGIN_CHARACTERS_MAX).map(|it| if is_plain(it) { it } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(real: u32, session: Option<u32>, claimed: Option<u32>) -> String {
        actor_of(Ids { real, session, claimed }, |uid| match uid {
            ROOT => Some("root".to_owned()),
            10 => Some("ada".to_owned()),
            20 => Some("root (as ada): x\u{1b}".to_owned()),
            30 => Some("é".repeat(65)),
            40 => Some(String::new()),
            50 => Some("EXAMPLE\\jo.doe-1@b+c_$".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn the_kernel_says_who_it_is_and_a_variable_is_at_most_a_claim_of_roots() {
        for (real, session, claimed, expected) in [
            (10, None, None, "operator:ada"),
            (10, Some(10), None, "operator:ada"),
            (10, None, Some(0), "operator:ada"),
            (10, Some(10), Some(0), "operator:ada"),
            (0, Some(10), None, "operator:ada (as root)"),
            (0, Some(10), Some(50), "operator:ada (as root)"),
            (10, Some(0), None, "operator:root (as ada)"),
            (0, Some(0), Some(10), "operator:root"),
            (0, None, Some(10), "operator:root (SUDO_UID says ada)"),
            (0, None, Some(0), "operator:root"),
            (0, None, None, "operator:root"),
            (11, None, None, "operator:uid:11"),
            (11, Some(12), None, "operator:uid:12 (as uid:11)"),
            (0, None, Some(11), "operator:root (SUDO_UID says uid:11)"),
        ] {
            assert_eq!(recorded(real, session, claimed), expected);
        }
    }

    #[test]
    fn no_login_can_look_like_another_users_record() {
        assert_eq!(recorded(20, None, None), "operator:root__as_ada___x_");
        assert_eq!(recorded(30, None, None), format!("operator:{}", "é".repeat(64)));
        assert_eq!(recorded(40, None, None), "operator:uid:40");
        assert_eq!(recorded(50, None, None), "operator:EXAMPLE\\jo.doe-1@b+c_$");
    }
}
