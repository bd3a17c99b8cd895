use super::*;
use proptest::prelude::{Strategy, any, prop, proptest};

/// The ranges that the Unicode Character Database has under a name.
fn unicode(name: &str) -> Vec<char> {
    let found: Vec<char> = include_str!("unicode-17.0.txt")
        .lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .flat_map(|range| {
            let (from, to) = range.split_once("..").unwrap_or((range, range));
            let number = |it| u32::from_str_radix(it, 16).unwrap();
            (number(from)..=number(to)).filter_map(char::from_u32)
        })
        .collect();
    assert!(!found.is_empty(), "{name}");
    found
}

fn all() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

#[test]
fn the_tables_are_those_of_unicode() {
    let of = |has: fn(char) -> bool| all().filter(|it| has(*it)).collect::<Vec<_>>();
    assert_eq!(of(is_default_ignorable), unicode("Default_Ignorable_Code_Point"));
    assert_eq!(of(is_direction_control), unicode("Bidi_Control"));
    assert!(unicode("Unified_Ideograph").into_iter().all(is_han));
    // What is not assigned between the blocks is nothing else's.
    assert!(of(is_han).len() - unicode("Unified_Ideograph").len() < 16);
    let viramas = unicode("Virama").into_iter().filter(|it| joining_script(*it).is_some());
    assert_eq!(of(virama), viramas.collect::<Vec<_>>());
}

#[test]
fn a_joining_script_is_its_letters_and_marks() {
    use JoiningScript as S;
    use tables::JoiningScript;
    for (script, name) in [
        (S::Arabic, "Arabic"),
        (S::Syriac, "Syriac"),
        (S::Nko, "Nko"),
        (S::Mandaic, "Mandaic"),
        (S::Mongolian, "Mongolian"),
        (S::Adlam, "Adlam"),
        (S::Rohingya, "Rohingya"),
        (S::Devanagari, "Devanagari"),
        (S::Bengali, "Bengali"),
        (S::Gurmukhi, "Gurmukhi"),
        (S::Gujarati, "Gujarati"),
        (S::Oriya, "Oriya"),
        (S::Tamil, "Tamil"),
        (S::Telugu, "Telugu"),
        (S::Kannada, "Kannada"),
        (S::Malayalam, "Malayalam"),
        (S::Sinhala, "Sinhala"),
        (S::Khmer, "Khmer"),
        (S::Myanmar, "Myanmar"),
        (S::Balinese, "Balinese"),
        (S::Javanese, "Javanese"),
        (S::Chakma, "Chakma"),
        (S::Newa, "Newa"),
        (S::Meetei, "Meetei"),
    ] {
        let letters = unicode(name);
        let is_presentation_form = |it: &char| {
            script == S::Arabic && matches!(it, '\u{fb50}'..='\u{feff}' | '\u{1ee00}'..='\u{1eeff}')
        };
        for it in letters.iter().filter(|it| !is_presentation_form(it)) {
            assert_eq!(joining_script(*it), Some(script), "{it:?} of {name}");
        }
        let more = all().filter(|it| joining_script(*it) == Some(script) && !letters.contains(it));
        for it in more {
            // Tatweel and the vowel signs that Arabic shares; the rest is not assigned.
            let is_shared = matches!(it, '\u{640}' | '\u{64b}'..='\u{655}' | '\u{670}');
            assert!(is_shared || !(it.is_alphanumeric() || it.is_whitespace()), "{it:?} of {name}");
        }
    }
}

#[test]
fn names_of_people_and_companies_all_over_the_world_are_taken_as_they_are() {
    for written in [
        "Zoë O'Neill-Núñez",
        "Société\u{a0}: L’Étoile",
        "Nguyễn Thị Ánh",
        "Nguye\u{302}\u{303}n",
        "Владимир",
        "Ĳsbrand",
        "3M",
        "李小龙",
        "山田\u{3000}太郎",
        "葛\u{e0100}城市",
        "辻\u{e0100}",
        "神\u{fe00}社",
        "محمد بن سلمان",
        "مُحَمَّد",
        "7 نجوم للتجارة ش.م.م.",
        "می\u{200c}خواهم",
        "علی\u{200c}رضا",
        "क्\u{200d}ष",
        "राम\u{200c}लाल",
        "ক্\u{200d}ষ",
        "উৎপল ত্\u{200d}",
        "ශ්\u{200d}රී ලංකා",
        "ന്\u{200d}",
        "അവന്\u{200d} രാജന്\u{200d}",
        "க்\u{200c}ஷ",
        "สมชาย ใจดี",
        "ទ្រព្យ",
        "ကုမ္ပဏီ",
        "\u{1000}\u{fe00}\u{102d}",
        "ᠮᠣᠩᠭᠣᠯ",
        "ᠰᠠᠷ\u{180e}ᠠ",
        "ᠭ\u{180b}ᠠ",
        "שָׁלוֹם בע״מ",
        "ߒߞߏ",
        "ܐܪܡܝܐ",
        "𞤆𞤵𞤤𞤢𞤪",
        "北京 \u{20bb7}野家",
        "Rocket 🚀 Ltd.",
        "I ❤\u{fe0f} NY",
        "Café 🇩🇪 👍🏽 GmbH",
        "Private \u{e000} Use",
    ] {
        assert_eq!(name(written, 200), Ok(written), "{written:?}");
        assert_eq!(shown(written), written, "{written:?}");
    }
}

#[test]
fn a_text_with_what_cannot_be_seen_is_refused_and_the_character_is_named() {
    for (unseen, fault) in [
        ('\0', Fault::Control),
        ('\u{1b}', Fault::Control),
        ('\u{7f}', Fault::Control),
        ('\u{9b}', Fault::Control),
        ('\n', Fault::LineBreak),
        ('\r', Fault::LineBreak),
        ('\u{85}', Fault::LineBreak),
        ('\u{2028}', Fault::LineBreak),
        ('\u{2029}', Fault::LineBreak),
        ('\t', Fault::Blank),
        ('\u{2003}', Fault::Blank),
        ('\u{1680}', Fault::Blank),
        ('\u{61c}', Fault::Direction),
        ('\u{200e}', Fault::Direction),
        ('\u{202e}', Fault::Direction),
        ('\u{2069}', Fault::Direction),
        ('\u{ad}', Fault::Unseen),
        ('\u{34f}', Fault::Unseen),
        ('\u{115f}', Fault::Unseen),
        ('\u{17b4}', Fault::Unseen),
        ('\u{200b}', Fault::Unseen),
        ('\u{2060}', Fault::Unseen),
        ('\u{206a}', Fault::Unseen),
        ('\u{2800}', Fault::Unseen),
        ('\u{3164}', Fault::Unseen),
        ('\u{feff}', Fault::Unseen),
        ('\u{ffa0}', Fault::Unseen),
        ('\u{fff0}', Fault::Unseen),
        ('\u{fffa}', Fault::Unseen),
        ('\u{1d173}', Fault::Unseen),
        ('\u{e0001}', Fault::Unseen),
        ('\u{e0061}', Fault::Unseen),
        ('\u{200c}', Fault::Joiner),
        ('\u{200d}', Fault::Joiner),
        ('\u{180e}', Fault::Joiner),
        ('\u{180b}', Fault::Selector),
        ('\u{fe00}', Fault::Selector),
        ('\u{fe0f}', Fault::Selector),
        ('\u{e0100}', Fault::Selector),
        ('\u{fdd0}', Fault::Noncharacter),
        ('\u{ffff}', Fault::Noncharacter),
        ('\u{10fffe}', Fault::Noncharacter),
    ] {
        let text = format!("Acme{unseen}Ltd.");
        let refused = line(&text, 200).unwrap_err();
        assert_eq!(refused, Objection::Character(unseen, fault));
        assert!(refused.to_string().contains(&format!("U+{:04X}, which", u32::from(unseen))));
        assert!(!is_plain(&text) && is_plain(&shown(&text)), "{unseen:?}");
    }
}

#[test]
fn joiners_and_selectors_stand_only_where_a_script_needs_them() {
    for hiding in [
        "Ac\u{200d}me",
        "Acme \u{200c}",
        "می\u{200c}",
        "می\u{200c}\u{200c}خواهم",
        "می\u{200c} خواهم",
        "می\u{200d}A",
        "۱\u{200c}۲",
        "م\u{200d}ក",
        "क\u{200d}",
        "क्\u{200c}",
        "क\u{200d}\u{200d}ष",
        "日\u{200d}本",
        "👨\u{200d}👩",
        "A\u{fe0f}",
        "1\u{fe0f}\u{20e3}",
        "あ\u{e0100}",
        "葛\u{fe0f}",
        "葛\u{e0100}\u{e0100}",
        "葛 \u{e0100}",
        "A\u{180e}B",
        "\u{200d}ष",
    ] {
        assert!(matches!(name(hiding, 200), Err(Objection::Character(..))), "{hiding:?}");
    }
}

#[test]
fn a_line_is_trimmed_bounded_and_not_empty() {
    assert_eq!(line(" \t Acme\u{3000}\n", 4), Ok("Acme"));
    assert_eq!(line(&"é".repeat(5), 5).map(str::len), Ok(10));
    assert_eq!(line("Acmes", 4), Err(Objection::Long { at_most: 4 }));
    for empty in ["", "  ", "\u{a0}", "\u{2028}", "\u{3000}"] {
        assert_eq!(line(empty, 9), Err(Objection::Empty { at_most: 9 }), "{empty:?}");
    }
    for marks in ["-", "...", "?!", "\u{301}", "🚀"] {
        assert_eq!(name(marks, 9), Err(Objection::Nameless), "{marks:?}");
        assert_eq!(line(marks, 9), Ok(marks));
    }
}

#[test]
fn what_is_there_already_is_shown_and_not_obeyed() {
    let hostile = "a\u{1b}[2J\u{9b}31m\nb\u{202e}c\td\u{2003}e\r\nf\u{ad}";
    assert_eq!(shown(hostile), "a\\u{1b}[2J\\u{9b}31m b\\u{202e}c d e  f\\u{ad}");
    assert_eq!(shown_lines("a\n\tb\r\n\u{1b}"), "a\n\tb \n\\u{1b}");
    let json = serde_json::Value::from(format!("{hostile}\u{7f}\u{e0061}")).to_string();
    let safe = shown_json(&json);
    assert!(is_plain(&safe), "{safe}");
    assert!(safe.contains(r"\u009b") && safe.contains(r"\u202e") && safe.contains(r"\udb40\udc61"));
    let read: String = serde_json::from_str(&safe).unwrap();
    assert_eq!(read, format!("{hostile}\u{7f}\u{e0061}"));
}

fn texts() -> impl Strategy<Value = String> {
    let from = |it: &'static [char]| prop::sample::select(it);
    let some = prop::strategy::Union::new([
        any::<char>().boxed(),
        from(&['a', ' ', '\u{1b}', '\u{9b}', '\u{202e}', '\u{200c}', '\u{200d}', '\u{fe00}'])
            .boxed(),
        from(&['ی', 'خ', 'क', '\u{94d}', '葛', '\u{e0100}', '\u{180b}', 'ᠭ', '\u{180e}']).boxed(),
    ]);
    prop::collection::vec(some, 0..12).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn no_accepted_text_holds_what_is_refused_and_each_is_shown_as_it_is(text in texts()) {
        if let Ok(taken) = line(&text, 200) {
            assert_eq!(shown(taken), taken);
            assert_eq!(shown_lines(taken), taken);
            assert_eq!(shown_json(taken), taken);
            for (at, it) in taken.char_indices() {
                let may_stand = matches!(it, '\u{200c}' | '\u{200d}' | '\u{180b}'..='\u{180f}'
                    | '\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}');
                assert!(!it.is_control() && !is_direction_control(it));
                assert!(may_stand && at > 0 || !is_default_ignorable(it), "{it:?}");
            }
        }
    }

    #[test]
    fn whatever_is_shown_is_nothing_that_a_terminal_obeys(text in texts()) {
        let is_harmless = |it: char| !it.is_control() && !is_direction_control(it);
        assert!(shown(&text).chars().all(is_harmless) && is_plain(&shown(&text)));
        assert!(shown_json(&text).chars().all(|it| it == '\n' || is_harmless(it)));
        let lines = shown_lines(&text);
        assert!(lines.chars().all(|it| matches!(it, '\n' | '\t') || is_harmless(it)));
        let json = serde_json::Value::from(text.as_str()).to_string();
        assert_eq!(serde_json::from_str::<String>(&shown_json(&json)).unwrap(), text);
    }
}
