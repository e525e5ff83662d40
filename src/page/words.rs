//! The words for what pages say, in each language. A language that lacks one does not compile.

mod de;
mod en;
mod es;
mod fr;
mod ja;

use super::language::Language;
use super::saying::{Label, Saying};

/// A heading, what happened, and what to do; the last may be empty. Each may hold names in braces, `{app}`.
pub(super) type Passage = [&'static str; 3];

/// What `saying` is in `language`.
pub(super) const fn passage(language: Language, saying: Saying) -> Passage {
    match language {
        Language::English => en::passage(saying),
        Language::German => de::passage(saying),
        Language::French => fr::passage(saying),
        Language::Spanish => es::passage(saying),
        Language::Japanese => ja::passage(saying),
    }
}

/// What `label` is in `language`.
pub(super) const fn label(language: Language, label: Label) -> &'static str {
    match language {
        Language::English => en::label(label),
        Language::German => de::label(label),
        Language::French => fr::label(label),
        Language::Spanish => es::label(label),
        Language::Japanese => ja::label(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in braces in `text`, sorted, each once.
    fn names(text: &str) -> Vec<&str> {
        let mut names: Vec<_> = text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    #[test]
    fn every_language_says_everything_with_the_same_names_in_it() {
        for language in Language::ALL {
            for saying in Saying::ALL {
                let (theirs, ours) = (passage(language, saying), passage(Language::English, saying));
                let tag = language.tag();
                assert_eq!(names(&theirs.concat()), names(&ours.concat()), "{tag}: {saying:?}");
                for (part, (there, here)) in theirs.iter().zip(ours).enumerate() {
                    assert_eq!(there.is_empty(), here.is_empty(), "{tag}: {saying:?}, part {part}");
                    assert!(!there.contains("  ") && there.trim() == *there, "{tag}: {saying:?}: `{there}`");
                    // What was left in English by mistake.
                    assert!(language == Language::English || here.is_empty() || *there != here, "{tag}: {saying:?}");
                }
                assert!(!theirs[0].ends_with(['.', '。']), "{tag}: {saying:?}: a heading has no full stop");
                for sentence in &theirs[1..] {
                    let ends = sentence.is_empty() || sentence.ends_with(['.', '。', '?', '？']);
                    assert!(ends, "{tag}: {saying:?}: `{sentence}`");
                }
            }
            for label in Label::ALL {
                assert!(!super::label(language, label).is_empty(), "{}: {label:?}", language.tag());
            }
        }
    }
}
