//! The letter on a page: in its own language and direction, with the parties' names by themselves, and
//! closed to translation, because what is signed is these characters and no others.

use maud::{Markup, html};

use super::page::party;
use crate::domain::letter::Language;
use crate::usecase::open_link::Sitting;

/// A letter of that version, composed for the sitting's parties.
pub(super) fn block(sitting: &Sitting, text: &str, version: &str) -> Markup {
    // Evidence does not name a language: that of a text which is not in use any more is unknown.
    let in_use = Some(&sitting.template).filter(|it| it.version() == version);
    let language = in_use.and_then(|it| it.language());
    let direction = match language {
        Some(it) if it.is_right_to_left() => "rtl",
        Some(_) => "ltr",
        None => "auto",
    };
    let tag = language.map_or("", Language::as_str);
    let mut names = [sitting.customer.name.as_str(), sitting.broker.name.as_str()];
    // A name may be part of the other one.
    names.sort_by_key(|it| std::cmp::Reverse(it.len()));
    html! {
        div.card.letter lang=(tag) dir=(direction) translate="no" {
            @for paragraph in text.trim().split("\n\n") {
                p { @for piece in pieces(paragraph, names) { (piece) } }
            }
        }
    }
}

/// The text in its order, with every whole occurrence of a name by itself.
fn pieces(text: &str, names: [&str; 2]) -> Vec<Markup> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, name, after)) = first_of(rest, names) {
        pieces.extend([html! { (before) }, party(name)]);
        rest = after;
    }
    pieces.push(html! { (rest) });
    pieces
}

/// What is before the first occurrence of one of the names, the name, and what is after it.
fn first_of<'a>(text: &'a str, names: [&'a str; 2]) -> Option<(&'a str, &'a str, &'a str)> {
    let is_inside = |it: Option<char>| it.is_some_and(char::is_alphanumeric);
    names
        .into_iter()
        .filter(|it| !it.is_empty())
        .filter_map(|name| {
            text.match_indices(name)
                .filter_map(|(at, _)| {
                    let (before, from) = text.split_at_checked(at)?;
                    Some((before, name, from.strip_prefix(name)?))
                })
                .find(|(before, _, after)| {
                    !is_inside(before.chars().next_back()) && !is_inside(after.chars().next())
                })
        })
        .min_by_key(|(before, name, _)| (before.len(), std::cmp::Reverse(name.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_by_itself_and_nothing_else_changes() {
        let of = |text, names| {
            pieces(text, names).into_iter().map(maud::PreEscaped::into_string).collect::<String>()
        };
        let bdi = |name: &str| format!("<bdi translate=\"no\">{name}</bdi>");

        assert_eq!(
            of("From: A & B to A & B Ltd., not AA & B.", ["A & B Ltd.", "A & B"]),
            format!("From: {} to {}, not AA &amp; B.", bdi("A &amp; B"), bdi("A &amp; B Ltd."))
        );
        assert_eq!(of("a\nthe end", ["he", "x"]), "a\nthe end");
        assert_eq!(of("", ["he", "x"]), "");
        assert_eq!(of("از علی", ["علی", "علی"]), format!("از {}", bdi("علی")));
    }
}
