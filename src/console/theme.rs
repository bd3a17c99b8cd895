//! Colours and glyphs. One theme for dark and light terminals: it never sets a background, and each
//! of its colours stands out from black and from white alike (a test computes that). A status is
//! always a glyph, a word and a colour, so that no meaning hangs on colour alone.

use ratatui::style::{Color, Modifier, Style};

use crate::domain::authorization::AuthorizationStatus;
use crate::domain::verification::{State, Status};

const GREEN: Color = Color::Indexed(28);
const RED: Color = Color::Indexed(160);
const AMBER: Color = Color::Indexed(130);
const BLUE: Color = Color::Indexed(32);
const VIOLET: Color = Color::Indexed(133);
const GREY: Color = Color::Indexed(243);

/// How the console looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// Colours from the 256 that every terminal has.
    Colour,
    /// Only the terminal's own colours and modifiers. Nothing here sets a colour, because under
    /// `NO_COLOR` the terminal library writes a reset in its place, which would wipe the modifiers.
    Monochrome,
}

impl Theme {
    fn tinted(self, colour: Color) -> Style {
        match self {
            Self::Colour => Style::new().fg(colour),
            Self::Monochrome => Style::new(),
        }
    }

    /// Plain text.
    pub fn text(self) -> Style {
        Style::new()
    }

    /// Text of less weight.
    pub fn quiet(self) -> Style {
        match self {
            Self::Colour => self.tinted(GREY),
            Self::Monochrome => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// Headings.
    pub fn heading(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Keys in hints, links.
    pub fn accent(self) -> Style {
        self.tinted(BLUE).add_modifier(Modifier::BOLD)
    }

    /// The selected row.
    pub fn selection(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// What went well.
    pub fn good(self) -> Style {
        self.tinted(GREEN)
    }

    /// What needs care.
    pub fn careful(self) -> Style {
        self.tinted(AMBER).add_modifier(Modifier::BOLD)
    }

    /// What went wrong or takes something away.
    pub fn bad(self) -> Style {
        self.tinted(RED).add_modifier(Modifier::BOLD)
    }

    /// A status.
    pub fn status(self, status: Status) -> Style {
        match status {
            Status::NotStarted => self.quiet(),
            Status::Pending => self.tinted(BLUE),
            Status::Approved => self.tinted(GREEN),
            Status::Rejected => self.tinted(RED),
            Status::OnHold => self.tinted(VIOLET),
            Status::ResubmissionRequired => self.tinted(AMBER),
        }
    }

    /// How an LOA counts.
    pub fn loa(self, standing: LoaStanding) -> Style {
        match standing {
            LoaStanding::Effective => self.tinted(GREEN),
            LoaStanding::Suspended => self.tinted(AMBER),
            LoaStanding::Unsigned => self.tinted(BLUE),
            LoaStanding::Revoked => self.quiet(),
        }
    }
}

/// A status as glyph and word.
pub fn status_words(status: Status) -> &'static str {
    match status {
        Status::NotStarted => "○ not started",
        Status::Pending => "◔ pending",
        Status::Approved => "● approved",
        Status::Rejected => "✕ rejected",
        Status::OnHold => "‖ on hold",
        Status::ResubmissionRequired => "↻ resubmission",
    }
}

/// A state as glyph and word, saying who decided.
pub fn state_words(state: State) -> &'static str {
    match state {
        State::RejectedByProvider => "✕ rejected by Sumsub",
        State::RejectedByOperator => "✕ rejected by operator",
        State::OnHoldByProvider => "‖ held by Sumsub",
        State::OnHoldByOperator => "‖ held by operator",
        State::NotStarted | State::Pending | State::Approved | State::ResubmissionRequired => {
            status_words(state.status())
        }
    }
}

/// How an LOA counts now: its recorded status and its granter's verification together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoaStanding {
    /// Signed, and the granter is APPROVED.
    Effective,
    /// Signed, and the granter is not.
    Suspended,
    /// Waits for the signature.
    Unsigned,
    /// Taken back.
    Revoked,
}

impl LoaStanding {
    /// From what is recorded and what is so.
    pub fn of(recorded: AuthorizationStatus, granter: Status) -> Self {
        match (recorded, granter) {
            (AuthorizationStatus::Active, Status::Approved) => Self::Effective,
            (AuthorizationStatus::Active, _) => Self::Suspended,
            (AuthorizationStatus::Pending, _) => Self::Unsigned,
            (AuthorizationStatus::Revoked, _) => Self::Revoked,
        }
    }

    /// As glyph and word.
    pub fn words(self) -> &'static str {
        match self {
            Self::Effective => "✓ effective",
            Self::Suspended => "◌ suspended",
            Self::Unsigned => "✎ unsigned",
            Self::Revoked => "✕ revoked",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance of an entry of the 256-colour cube or its greys (WCAG 2.1).
    fn luminance(index: u8) -> f64 {
        let level = |it: u8| f64::from(if it == 0 { 0 } else { 55 + 40 * it });
        let rgb = if index >= 232 {
            [f64::from(8 + 10 * (u32::from(index) - 232)); 3]
        } else {
            let cube = index - 16;
            [level(cube / 36), level(cube / 6 % 6), level(cube % 6)]
        };
        let linear = rgb.map(|it| {
            let it = it / 255.0;
            if it <= 0.03928 { it / 12.92 } else { ((it + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    }

    #[test]
    fn every_colour_stands_out_from_black_and_from_white() {
        for colour in [GREEN, RED, AMBER, BLUE, VIOLET, GREY] {
            let Color::Indexed(index) = colour else { panic!("{colour:?} is not of the 256") };
            let it = luminance(index);
            let (on_black, on_white) = ((it + 0.05) / 0.05, 1.05 / (it + 0.05));
            assert!(on_black > 3.5 && on_white > 3.5, "{index}: {on_black:.1} {on_white:.1}");
        }
    }

    #[test]
    fn the_monochrome_theme_sets_no_colour() {
        let it = Theme::Monochrome;
        let mut styles = vec![
            it.text(),
            it.quiet(),
            it.heading(),
            it.accent(),
            it.selection(),
            it.good(),
            it.careful(),
            it.bad(),
        ];
        styles.extend(Status::ALL.map(|status| it.status(status)));
        styles.push(it.loa(LoaStanding::Effective));
        for style in styles {
            assert_eq!((style.fg, style.bg), (None, None), "{style:?}");
        }
    }

    #[test]
    fn no_two_statuses_share_a_glyph() {
        let mut glyphs: Vec<_> =
            Status::ALL.map(|it| status_words(it).chars().next()).into_iter().collect();
        glyphs.sort();
        glyphs.dedup();
        assert_eq!(glyphs.len(), Status::ALL.len());
    }
}
