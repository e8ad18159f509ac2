//! The guide's examples are what they say.

use insta::assert_snapshot;

use crate::scene::Scene;

fn guide() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/recipes.md");
    std::fs::read_to_string(path).unwrap()
}

/// Returns the guide's files below `cookbooks/`, by the comment that each begins with.
fn files(guide: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for block in guide.split("\n```").skip(1).step_by(2) {
        let (_language, text) = block.split_once('\n').unwrap();
        let first = text.lines().next().unwrap_or_default();
        let path = first.trim_start_matches(['#', '{', ' ']).trim_end_matches(['#', '}', ' ']);
        if let Some(path) = path.strip_prefix("cookbooks/") {
            files.push((path.to_owned(), text.to_owned()));
        }
    }
    files
}

#[test]
fn the_guides_recipes_declare() {
    let files = files(&guide());
    assert_eq!(files.len(), 8);
    let scene =
        files.into_iter().fold(Scene::of(""), |scene, (path, text)| scene.file(&path, text));
    let recipes = ["web::default", "web::app", "web::secrets", "web::sites", "web::tools"];
    let scene = scene.run_list(&recipes);
    assert_snapshot!(scene.declared(), @r#"
    install package[nginx] of web::default at web/recipes/default.star:2:9
    create template[/etc/nginx/nginx.conf] attributes=["nginx.hosts", "nginx.port"] content="\nserver {\n    listen 80;\n    server_name a.example;\n    server_name b.example;\n}" mode="0644" source="nginx.conf.j2" after package[nginx] notifies reload system_service[nginx] Delayed of web::default at web/recipes/default.star:3:8
    start system_service[nginx] after template[/etc/nginx/nginx.conf] of web::default at web/recipes/default.star:4:1
    create file[/etc/motd] content="This is trixie.\n" of web::default at web/recipes/default.star:6:1
    create user[deploy] of web::app at web/recipes/app.star:2:10
    run execute[make a certificate] command=["make-certificate", "--for", "a.example"] not_if Exists("/etc/ssl/private/shop.key") after user[deploy] user=deploy of web::app at web/recipes/app.star:4:5
    create file[/etc/shop.env] content=Secret(…) mode="0600" of web::secrets at web/recipes/secrets.star:3:1
    create template[/etc/nginx/sites-enabled/shop] attributes=[] content="\nserver { listen 8080; server_name shop; }" source="site.j2" notifies reload system_service[nginx] Delayed of web::sites at nginx/site.star:4:12
    create template[/etc/nginx/sites-enabled/blog] attributes=[] content="\nserver { listen 8081; server_name blog; }" source="site.j2" notifies reload system_service[nginx] Delayed of web::sites at nginx/site.star:4:12
    install package[git curl] names=["git", "curl"] of web::tools at web/recipes/tools.toml:2:1
    create file[/etc/gitconfig] content="[init]\n\tdefaultBranch = main\n" not_if Exists("/root/.gitconfig") after package[git curl] of web::tools at web/recipes/tools.toml:6:1
    "#);
    let notices: Vec<String> =
        scene.right().notices.into_iter().map(|notice| notice.text).collect();
    assert_eq!(notices, ["an api is at 10.0.0.1:1", "an api is at 10.0.0.1:2"]);
}

#[test]
fn the_guides_error_is_what_is_printed() {
    let library = "def site(name):\n    \"\"\"Makes a site.\"\"\"\n    \
                   template(\"/etc/nginx/%s\" % name, source = \"site.j2\", mod = \"0644\")\n";
    let recipe = "load(\"//nginx/site.star\", \"site\")\n\nsite(\"shop\")\n";
    let wrong = Scene::of("")
        .file("nginx/site.star", library)
        .file("nginx/templates/site.j2", "")
        .file("web/recipes/sites.star", recipe)
        .run_list(&["web::sites"])
        .wrong();
    assert!(guide().contains(&wrong), "{wrong}");
}
