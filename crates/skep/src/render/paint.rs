//! Colours by meaning. Every text is understandable without them.

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Style {
    /// Nothing in particular.
    #[default]
    Plain,
    /// A heading.
    Bold,
    /// Less important than its surroundings.
    Dim,
    /// As it should be.
    Good,
    /// Failed.
    Bad,
    /// To be looked at.
    Warning,
    /// One of several sources, told apart by colour.
    Source(usize),
}

/// Colours that are readable on dark and light backgrounds and mean neither good nor bad.
const SOURCES: [&str; 6] = ["36", "35", "34", "96", "95", "94"];

/// Whether text is painted at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// With escape sequences.
    Colours,
    /// As it is.
    Plain,
}

impl Paint {
    /// Returns `text` in the colours of `style`.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            _ if self == Self::Plain || text.is_empty() => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Warning => "33",
            Style::Source(number) => SOURCES[number % SOURCES.len()],
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
