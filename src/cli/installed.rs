//! On a machine where the package serves, a plain `countersign` knows nothing of the service's settings:
//! it would look for a register where its user stands, and make a second one there.

use std::path::Path;

use super::exit::{CliError, Exit};
use crate::config::{Config, Source};

/// What the package's service reads its settings from.
const SETTINGS_OF_SERVICE: &str = "/etc/countersign/environment";

/// Refuses a command that would work on a register of nobody's, beside an installed service.
pub(super) fn check(config: &Config) -> Result<(), CliError> {
    beside(Path::new(SETTINGS_OF_SERVICE), config)
}

fn beside(settings: &Path, config: &Config) -> Result<(), CliError> {
    let names_one = config.settings_file.is_some()
        || config
            .in_force
            .iter()
            .any(|it| it.setting.name == "database" && it.source != Source::Default);
    // Whoever may not look into the service's directory is on such a machine, too.
    let is_installed = settings.try_exists().unwrap_or(true);
    if names_one || config.database.exists() || !is_installed {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Usage,
        format!(
            "there is no register at {}, and the settings of this machine's service in {} were not \
             given: run `sudo countersign-operator` with the same arguments, which reads them, or name \
             another register with --database",
            config.database.display(),
            settings.display()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Variables};

    fn told(settings: &str, flags: &[(&'static str, &str)], variables: &[(&str, &str)]) -> bool {
        let flags: Flags = flags.iter().map(|(name, it)| (*name, (*it).to_owned())).collect();
        let variables: Variables =
            variables.iter().map(|(name, it)| ((*name).into(), (*it).into())).collect();
        let config = Config::load(&flags, &variables).unwrap();
        beside(Path::new(settings), &config).is_err_and(|it| it.exit == Exit::Usage)
    }

    #[test]
    fn a_plain_command_beside_an_installed_service_is_told_of_the_operators_one() {
        assert!(told("/", &[], &[]));
        assert!(told("/", &[("environment", "live")], &[]));

        assert!(!told("/there/is/none", &[], &[]), "no service is installed");
        assert!(!told("/", &[("database", "mine.db")], &[]), "a register is named");
        assert!(!told("/", &[], &[("COUNTERSIGN_DATABASE", "mine.db")]));
        assert!(told("/", &[], &[("COUNTERSIGN_LOG", "debug")]), "which says of no register");
    }
}
