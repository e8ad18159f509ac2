//! Names of recipes.

use resource::RecipeName;

/// Returns the recipe that a text names: `nginx::default`, or `nginx` for the same.
pub(crate) fn recipe(text: &str) -> Option<RecipeName> {
    let (cookbook, recipe) = text.split_once("::").unwrap_or((text, "default"));
    let fit = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && !name.starts_with('.')
    };
    (fit(cookbook) && fit(recipe)).then(|| RecipeName::new(cookbook, recipe))
}
