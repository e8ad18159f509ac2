//! Secrets stay secrets.

use report::Secret;
use resource::Value;

use crate::scene::{Scene, value_of};

const URL: &str = "env_of('shop', 'DATABASE_URL')";
const PLAIN: &str = "postgres://u:hunter2@db/x";

fn secret(text: impl Into<String>) -> Value {
    Value::Secret(Secret::new(text))
}

#[test]
fn whatever_text_is_made_of_a_secret_is_one() {
    for (expression, expected) in [
        ("URL", PLAIN.to_owned()),
        ("URL + '?x'", format!("{PLAIN}?x")),
        ("'u=' + URL", format!("u={PLAIN}")),
        ("URL + URL", format!("{PLAIN}{PLAIN}")),
        ("('a' + URL) + 'b'", format!("a{PLAIN}b")),
        ("'u=%s' % URL", format!("u={PLAIN}")),
        ("'%s/%s' % (URL, 1)", format!("{PLAIN}/1")),
        ("'u={}'.format(URL)", format!("u={PLAIN}")),
        ("f'u={URL}'", format!("u={PLAIN}")),
        ("str(URL)", PLAIN.to_owned()),
        ("','.join(['a', str(URL)])", format!("a,{PLAIN}")),
        ("('a' + str(URL)).upper()", format!("A{PLAIN}")),
        ("'  %s ' % URL", format!("  {PLAIN} ")),
        ("('<%s>' % URL).split('<')[1]", format!("{PLAIN}>")),
        ("str([URL])", format!("[{PLAIN}]")),
        ("('x%s' % URL) * 2", format!("x{PLAIN}x{PLAIN}")),
    ] {
        let value = value_of(&expression.replace("URL", URL));
        assert_eq!(value, secret(&expected), "{expression}");
    }
    let nested = value_of(&format!("{{'a': [{URL}, 1]}}"));
    assert!(nested.is_secret());
}

#[test]
fn a_template_that_reads_a_secret_gives_one() {
    let template = |text: &str, vars: &str| {
        Scene::of(&format!("anything('x', value = render('t.j2', {vars}))"))
            .file("web/templates/t.j2", text)
            .value()
    };
    let vars = format!("{{'url': {URL}, 'deep': {{'url': [{URL}]}}, 'port': 1}}");
    for (text, expected) in [
        ("{{ url }}\n", format!("{PLAIN}\n")),
        ("{{ deep.url[0] }}", PLAIN.to_owned()),
        ("{{ url | tojson }}", format!("\"{PLAIN}\"")),
        ("{{ url | quote }}", PLAIN.to_owned()),
        ("{{ 'x' | b64encode }}{{ url | length }}", "eA==25".to_owned()),
        ("{{ deep | tojson }}", format!("{{\"url\": [\"{PLAIN}\"]}}")),
        ("{% if url %}set{% endif %}", "set".to_owned()),
        (
            "{% for key, value in deep | items %}{{ key }}{{ value[0] }}{% endfor %}",
            format!("url{PLAIN}"),
        ),
    ] {
        assert_eq!(template(text, &vars), secret(expected), "{text}");
    }
    assert_eq!(template("{{ port }}", &vars), Value::text("1"));
    // What was made of a secret before stays one.
    assert_eq!(
        template("{{ x }}", &format!("{{'x': 'a%s' % {URL}}}")),
        secret(format!("a{PLAIN}"))
    );
}

#[test]
fn a_templates_error_does_not_tell_a_secret() {
    let scene = Scene::of(&format!("file('/x', content = render('t.j2', {{'url': {URL}}}))"))
        .file("web/templates/t.j2", "{{ url | int }}\n{{ (url ~ 'x') | batch('y') }}");
    let wrong = scene.wrong();
    assert!(!wrong.contains("hunter2"), "{wrong}");
}

#[test]
fn what_a_template_read_does_not_tell_a_secret() {
    let recipe = format!("template('/x', source = 't.j2', vars = {{'url': {URL}}})");
    let scene = Scene::of(&recipe)
        .file("web/templates/t.j2", "{% if node.nginx[url] is defined %}{% endif %}");
    let reads = scene.right().all_reads();
    assert_eq!(reads.attributes.into_iter().collect::<Vec<_>>(), ["nginx.••••••"]);
}

#[test]
fn nothing_that_is_shown_tells_a_secret() {
    for recipe in [
        "fail('no', URL)",
        "fail('no %s' % URL)",
        "{}[str(URL)]",
        "file('/x', mode = URL)",
        "file('/x', content = 'a', mode = 'x%s' % URL)",
        "file(URL)",
        "file('/' + URL)",
        "package('nginx', version = str(URL))",
        "file('/x', only_if = exists('/' + str(URL)))",
        "file('/x', only_if = command(['x', str(URL)]))",
        "anything('x', value = {str(URL): 1})",
        "attr(str(URL))",
        "fact(str(URL))",
        "include_recipe(str(URL))",
        "render(str(URL))",
        "env_of(str(URL), 'x')",
        "[1][str(URL)]",
        "int(str(URL))",
        "getattr(1, str(URL))",
        "URL.x",
        "1 + URL",
        "URL == 'x'",
        "'x' == URL",
        "URL != 'x'",
        "{URL: 1}",
        "len(URL)",
        "URL.upper()",
        "URL[0]",
        "file('/x', content = str(URL)[0:2])",
        "file('/x', content = str(URL)[1:])",
        "file('/x', notifies = notify(system_service('x'), str(URL)))",
        "file('/x', action = str(URL))",
        "file('/x', user = str(URL))",
        "file('/x', timeout = str(URL))",
    ] {
        let wrong = Scene::of(&recipe.replace("URL", URL)).wrong();
        assert!(!wrong.contains("hunter2"), "{recipe}: {wrong}");
        let private = wrong.chars().find(|c| u32::from(*c) >= 0xF_0000);
        assert_eq!(private, None, "{recipe}: {wrong}");
    }
}

#[test]
fn a_secret_may_be_there_or_not() {
    let value = value_of(&format!("[{URL} != None, {URL} == None, None == {URL}, bool({URL})]"));
    assert_eq!(value, Value::from(vec![true, false, false, true]));
}
