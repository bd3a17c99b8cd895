//! What Unicode 17.0 says of characters, where the rules for text need it. The test beside these tables
//! compares them with `unicode-17.0.txt`, which quotes the Unicode Character Database.

/// `Bidi_Control` (`PropList.txt`).
pub(super) fn is_direction_control(it: char) -> bool {
    matches!(it, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

/// `Default_Ignorable_Code_Point` (`DerivedCoreProperties.txt`).
pub(super) fn is_default_ignorable(it: char) -> bool {
    matches!(it, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// What is not seen though Unicode does not call it ignorable: the braille pattern without a dot, the
/// marks around annotations, the Khitan filler, the controls and blanks among hieroglyphs, the null notehead.
pub(super) fn is_blank_glyph(it: char) -> bool {
    matches!(it, '\u{2800}' | '\u{fff9}'..='\u{fffb}' | '\u{16fe4}' | '\u{13430}'..='\u{13442}'
        | '\u{1d159}')
}

/// `Unified_Ideograph` (`PropList.txt`), with what is not assigned yet between its blocks.
pub(super) fn is_han(it: char) -> bool {
    matches!(it, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{fa0e}' | '\u{fa0f}'
        | '\u{fa11}' | '\u{fa13}' | '\u{fa14}' | '\u{fa1f}' | '\u{fa21}' | '\u{fa23}' | '\u{fa24}'
        | '\u{fa27}'..='\u{fa29}' | '\u{20000}'..='\u{2a6df}' | '\u{2a700}'..='\u{2ebe0}'
        | '\u{2ebf0}'..='\u{2ee5d}' | '\u{30000}'..='\u{33479}')
}

/// A script whose spelling needs joiners: a cursive one, or one with a virama.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoiningScript {
    Arabic,
    Syriac,
    Nko,
    Mandaic,
    Mongolian,
    Adlam,
    Rohingya,
    Devanagari,
    Bengali,
    Gurmukhi,
    Gujarati,
    Oriya,
    Tamil,
    Telugu,
    Kannada,
    Malayalam,
    Sinhala,
    Khmer,
    Myanmar,
    Balinese,
    Javanese,
    Chakma,
    Newa,
    Meetei,
}

/// The script of a letter or mark (`Scripts.txt`, and `General_Category` L, Mn or Mc), if it is one that
/// needs joiners; with what is not assigned yet between them. Arabic has the vowel signs that it shares
/// with Syriac, and not its presentation forms, which stand for letters that are joined already.
#[rustfmt::skip]
pub(super) fn joining_script(it: char) -> Option<JoiningScript> {
    use JoiningScript as S;
    Some(match u32::from(it) {
        0x0610..=0x061a | 0x0620..=0x065f | 0x066e..=0x06d3 | 0x06d5..=0x06dc | 0x06df..=0x06e8
        | 0x06ea..=0x06ef | 0x06fa..=0x06fc | 0x06ff | 0x0750..=0x077f | 0x0870..=0x0887
        | 0x0889..=0x088f | 0x0897..=0x08e1 | 0x08e3..=0x08ff | 0x10ec2..=0x10ec7
        | 0x10efa..=0x10eff => S::Arabic,
        0x0710..=0x074f | 0x0860..=0x086a => S::Syriac,
        0x07ca..=0x07f5 | 0x07fa..=0x07fd => S::Nko,
        0x0840..=0x085b => S::Mandaic,
        0x1820..=0x18aa => S::Mongolian,
        0x1e900..=0x1e94b => S::Adlam,
        0x10d00..=0x10d27 => S::Rohingya,
        0x0900..=0x0950 | 0x0955..=0x0963 | 0x0971..=0x097f | 0xa8e0..=0xa8f7 | 0xa8fb
        | 0xa8fd..=0xa8ff => S::Devanagari,
        0x0980..=0x09e3 | 0x09f0..=0x09f1 | 0x09fc | 0x09fe => S::Bengali,
        0x0a01..=0x0a5e | 0x0a70..=0x0a75 => S::Gurmukhi,
        0x0a81..=0x0ae3 | 0x0af9..=0x0aff => S::Gujarati,
        0x0b01..=0x0b63 | 0x0b71 => S::Oriya,
        0x0b82..=0x0bd7 => S::Tamil,
        0x0c00..=0x0c63 => S::Telugu,
        0x0c80..=0x0c83 | 0x0c85..=0x0ce3 | 0x0cf1..=0x0cf3 => S::Kannada,
        0x0d00..=0x0d4e | 0x0d54..=0x0d57 | 0x0d5f..=0x0d63 | 0x0d7a..=0x0d7f => S::Malayalam,
        0x0d81..=0x0ddf | 0x0df2..=0x0df3 => S::Sinhala,
        0x1780..=0x17b3 | 0x17b6..=0x17d3 | 0x17d7 | 0x17dc..=0x17dd => S::Khmer,
        0x1000..=0x103f | 0x1050..=0x108f | 0x109a..=0x109d | 0xa9e0..=0xa9ef | 0xa9fa..=0xa9fe
        | 0xaa60..=0xaa76 | 0xaa7a..=0xaa7f => S::Myanmar,
        0x1b00..=0x1b4c | 0x1b6b..=0x1b73 => S::Balinese,
        0xa980..=0xa9c0 => S::Javanese,
        0x11100..=0x11134 | 0x11144..=0x11147 => S::Chakma,
        0x11400..=0x1144a | 0x1145e..=0x11461 => S::Newa,
        0xaae0..=0xaaef | 0xaaf2..=0xaaf6 | 0xabc0..=0xabea | 0xabec..=0xabed => S::Meetei,
        _ => return None,
    })
}

/// `Canonical_Combining_Class` Virama (`UnicodeData.txt`) in those scripts.
#[rustfmt::skip]
pub(super) fn virama(it: char) -> bool {
    matches!(u32::from(it), 0x094d | 0x09cd | 0x0a4d | 0x0acd | 0x0b4d | 0x0bcd | 0x0c4d | 0x0ccd
        | 0x0d3b | 0x0d3c | 0x0d4d | 0x0dca | 0x1039 | 0x103a | 0x17d2 | 0x1b44 | 0xa9c0 | 0xaaf6
        | 0xabed | 0x11133 | 0x11134 | 0x11442)
}

/// What may be shown as text or as a picture: `Emoji` (`emoji-data.txt`), without the digits and signs of
/// ASCII, where nobody sees a difference, and the letters of flags.
#[rustfmt::skip]
pub(super) fn is_emoji(it: char) -> bool {
    matches!(
        it,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
            | '\u{2194}'..='\u{2199}' | '\u{21a9}'..='\u{21aa}' | '\u{231a}'..='\u{231b}'
            | '\u{2328}' | '\u{23cf}' | '\u{23e9}'..='\u{23f3}' | '\u{23f8}'..='\u{23fa}'
            | '\u{24c2}' | '\u{25aa}'..='\u{25ab}' | '\u{25b6}' | '\u{25c0}'
            | '\u{25fb}'..='\u{25fe}' | '\u{2600}'..='\u{2604}' | '\u{260e}' | '\u{2611}'
            | '\u{2614}'..='\u{2615}' | '\u{2618}' | '\u{261d}' | '\u{2620}'
            | '\u{2622}'..='\u{2623}' | '\u{2626}' | '\u{262a}' | '\u{262e}'..='\u{262f}'
            | '\u{2638}'..='\u{263a}' | '\u{2640}' | '\u{2642}' | '\u{2648}'..='\u{2653}'
            | '\u{265f}'..='\u{2660}' | '\u{2663}' | '\u{2665}'..='\u{2666}' | '\u{2668}'
            | '\u{267b}' | '\u{267e}'..='\u{267f}' | '\u{2692}'..='\u{2697}' | '\u{2699}'
            | '\u{269b}'..='\u{269c}' | '\u{26a0}'..='\u{26a1}' | '\u{26a7}'
            | '\u{26aa}'..='\u{26ab}' | '\u{26b0}'..='\u{26b1}' | '\u{26bd}'..='\u{26be}'
            | '\u{26c4}'..='\u{26c5}' | '\u{26c8}' | '\u{26ce}'..='\u{26cf}' | '\u{26d1}'
            | '\u{26d3}'..='\u{26d4}' | '\u{26e9}'..='\u{26ea}' | '\u{26f0}'..='\u{26f5}'
            | '\u{26f7}'..='\u{26fa}' | '\u{26fd}' | '\u{2702}' | '\u{2705}'
            | '\u{2708}'..='\u{270d}' | '\u{270f}' | '\u{2712}' | '\u{2714}' | '\u{2716}'
            | '\u{271d}' | '\u{2721}' | '\u{2728}' | '\u{2733}'..='\u{2734}' | '\u{2744}'
            | '\u{2747}' | '\u{274c}' | '\u{274e}' | '\u{2753}'..='\u{2755}' | '\u{2757}'
            | '\u{2763}'..='\u{2764}' | '\u{2795}'..='\u{2797}' | '\u{27a1}' | '\u{27b0}'
            | '\u{27bf}' | '\u{2934}'..='\u{2935}' | '\u{2b05}'..='\u{2b07}'
            | '\u{2b1b}'..='\u{2b1c}' | '\u{2b50}' | '\u{2b55}' | '\u{3030}' | '\u{303d}'
            | '\u{3297}' | '\u{3299}' | '\u{1f004}' | '\u{1f0cf}'
            | '\u{1f170}'..='\u{1f171}' | '\u{1f17e}'..='\u{1f17f}' | '\u{1f18e}'
            | '\u{1f191}'..='\u{1f19a}' | '\u{1f201}'..='\u{1f202}' | '\u{1f21a}'
            | '\u{1f22f}' | '\u{1f232}'..='\u{1f23a}' | '\u{1f250}'..='\u{1f251}'
            | '\u{1f300}'..='\u{1f321}' | '\u{1f324}'..='\u{1f393}'
            | '\u{1f396}'..='\u{1f397}' | '\u{1f399}'..='\u{1f39b}'
            | '\u{1f39e}'..='\u{1f3f0}' | '\u{1f3f3}'..='\u{1f3f5}'
            | '\u{1f3f7}'..='\u{1f4fd}' | '\u{1f4ff}'..='\u{1f53d}'
            | '\u{1f549}'..='\u{1f54e}' | '\u{1f550}'..='\u{1f567}'
            | '\u{1f56f}'..='\u{1f570}' | '\u{1f573}'..='\u{1f57a}' | '\u{1f587}'
            | '\u{1f58a}'..='\u{1f58d}' | '\u{1f590}' | '\u{1f595}'..='\u{1f596}'
            | '\u{1f5a4}'..='\u{1f5a5}' | '\u{1f5a8}' | '\u{1f5b1}'..='\u{1f5b2}'
            | '\u{1f5bc}' | '\u{1f5c2}'..='\u{1f5c4}' | '\u{1f5d1}'..='\u{1f5d3}'
            | '\u{1f5dc}'..='\u{1f5de}' | '\u{1f5e1}' | '\u{1f5e3}' | '\u{1f5e8}'
            | '\u{1f5ef}' | '\u{1f5f3}' | '\u{1f5fa}'..='\u{1f64f}'
            | '\u{1f680}'..='\u{1f6c5}' | '\u{1f6cb}'..='\u{1f6d2}'
            | '\u{1f6d5}'..='\u{1f6d7}' | '\u{1f6dc}'..='\u{1f6e5}' | '\u{1f6e9}'
            | '\u{1f6eb}'..='\u{1f6ec}' | '\u{1f6f0}' | '\u{1f6f3}'..='\u{1f6fc}'
            | '\u{1f7e0}'..='\u{1f7eb}' | '\u{1f7f0}' | '\u{1f90c}'..='\u{1f93a}'
            | '\u{1f93c}'..='\u{1f945}' | '\u{1f947}'..='\u{1f9ff}'
            | '\u{1fa70}'..='\u{1fa7c}' | '\u{1fa80}'..='\u{1fa89}'
            | '\u{1fa8f}'..='\u{1fac6}' | '\u{1face}'..='\u{1fadc}'
            | '\u{1fadf}'..='\u{1fae9}' | '\u{1faf0}'..='\u{1faf8}'
    )
}
