//! How far a long work has come: a bar on a terminal, nothing where nobody looks.

use std::io::{self, IsTerminal as _, Write as _};

use crate::store::{Progress, Stage};

const BAR_CELLS: u64 = 30;

/// Tells progress on stderr.
#[derive(Debug)]
pub(super) struct Bar {
    is_shown: bool,
    last: Option<(Stage, u64)>,
}

impl Bar {
    /// A bar, if stderr is a terminal.
    pub(super) fn on_stderr() -> Self {
        Self { is_shown: io::stderr().is_terminal(), last: None }
    }

    /// Draws it anew when another percent is done.
    pub(super) fn tell(&mut self, progress: Progress) {
        let percent = percent(progress);
        if !self.is_shown || self.last == Some((progress.stage, percent)) {
            return;
        }
        self.last = Some((progress.stage, percent));
        // Nowhere to say that saying failed.
        drop(write!(io::stderr().lock(), "\r\x1b[K{}", line(progress)));
    }
}

/// Takes the bar away, so that what comes next stands on a line of its own.
impl Drop for Bar {
    fn drop(&mut self) {
        if self.is_shown && self.last.is_some() {
            drop(write!(io::stderr().lock(), "\r\x1b[K"));
        }
    }
}

fn percent(progress: Progress) -> u64 {
    progress.done.saturating_mul(100).checked_div(progress.total).unwrap_or(0).min(100)
}

/// What is being done, in words.
pub(super) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Copying => "copying",
        Stage::Checking => "checking pages and references",
        Stage::Folding => "folding facts",
    }
}

fn line(progress: Progress) -> String {
    let doing = stage(progress.stage);
    if progress.total == 0 {
        return format!("{doing} …");
    }
    let percent = percent(progress);
    let full = percent.saturating_mul(BAR_CELLS) / 100;
    let cells: String = (0..BAR_CELLS).map(|it| if it < full { '#' } else { '.' }).collect();
    format!("[{cells}] {percent:>3} %  {doing}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_what_is_done() {
        let at = |done| line(Progress { stage: Stage::Copying, done, total: 10 });

        assert_eq!(at(0), "[..............................]   0 %  copying");
        assert_eq!(at(5), "[###############...............]  50 %  copying");
        assert_eq!(at(10), "[##############################] 100 %  copying");
        let checking = Progress { stage: Stage::Checking, done: 0, total: 0 };
        assert_eq!(line(checking), "checking pages and references …");
    }
}
