//! The page: what the document says, in its order, with every operation, parameter, answer and
//! example.

use std::fmt::Write as _;

use super::node::Node;

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "options", "trace"];

/// Renders the whole page.
pub(super) fn render(root: &Node) -> String {
    let none = Node::Null;
    let product = root.get("info").unwrap_or(&none);
    let title = escaped(product.text("title"));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} API reference</title>\n<link rel=\"stylesheet\" href=\"/docs.css\">\n\
         </head>\n<body>\n"
    );
    let body = Page { root };
    let nav = body.navigation();
    let version = escaped(product.text("version"));
    let summary = escaped(product.text("summary"));
    let about = prose(product.text("description"));
    let operations = body.by_tag();
    let schemas = body.schemas();
    push(
        &mut out,
        format_args!(
            "<nav aria-label=\"Contents\">{nav}</nav>\n<main>\n<header>\n<h1>{title}</h1>\n\
             <p class=\"lead\">{summary}</p>\n<p class=\"quiet\">Version {version}. For programs: \
             <a href=\"/openapi.json\">/openapi.json</a></p>\n{about}</header>\n{operations}\
             {schemas}</main>\n</body>\n</html>\n"
        ),
    );
    out
}

struct Page<'a> {
    root: &'a Node,
}

/// One operation with where it is.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    it: &'a Node,
}

impl<'a> Page<'a> {
    fn operations(&self) -> Vec<Operation<'a>> {
        let of = |name: &str| self.root.get(name).map(Node::fields).unwrap_or_default();
        let mut found = Vec::new();
        // What we send is shown like what we answer: its name stands where a path would.
        for (path, item) in of("paths").iter().chain(of("webhooks")) {
            let own = item.fields().iter().filter(|(it, _)| METHODS.contains(&it.as_str()));
            found.extend(own.map(|(method, it)| Operation { method, path, it }));
        }
        found
    }

    fn tags(&self) -> &'a [Node] {
        self.root.get("tags").map(Node::items).unwrap_or_default()
    }

    fn of_tag(&self, tag: &str) -> Vec<Operation<'a>> {
        let has = |it: &Node| {
            let tags = it.get("tags").map(Node::items).unwrap_or_default();
            tags.iter().any(|it| it.plain() == tag)
        };
        self.operations().into_iter().filter(|it| has(it.it)).collect()
    }

    fn navigation(&self) -> String {
        let mut out = String::new();
        for tag in self.tags() {
            let name = tag.text("name");
            push(&mut out, format_args!("<h2>{}</h2>\n<ul>\n", escaped(name)));
            for operation in self.of_tag(name) {
                push(
                    &mut out,
                    format_args!(
                        "<li><a href=\"#{}\">{}</a></li>\n",
                        escaped(operation.it.text("operationId")),
                        escaped(operation.it.text("summary"))
                    ),
                );
            }
            out.push_str("</ul>\n");
        }
        out.push_str(
            "<h2>Objects</h2>\n<ul>\n<li><a href=\"#objects\">All objects</a></li>\n</ul>\n",
        );
        out
    }

    fn by_tag(&self) -> String {
        let mut out = String::new();
        for tag in self.tags() {
            let name = tag.text("name");
            push(
                &mut out,
                format_args!("<h2>{}</h2>\n{}", escaped(name), prose(tag.text("description"))),
            );
            for operation in self.of_tag(name) {
                self.operation(&mut out, &operation);
            }
        }
        out
    }

    fn operation(&self, out: &mut String, operation: &Operation<'_>) {
        let it = operation.it;
        let id = escaped(it.text("operationId"));
        push(
            out,
            format_args!(
                "<section id=\"{id}\">\n<h3><a href=\"#{id}\">{}</a></h3>\n\
                 <p class=\"route\"><b class=\"{}\">{}</b> <code>{}</code></p>\n{}",
                escaped(it.text("summary")),
                operation.method,
                operation.method.to_uppercase(),
                escaped(operation.path),
                prose(it.text("description"))
            ),
        );
        let is_open = it.get("security").is_some_and(|it| it.items().is_empty());
        let key = if is_open { "No API key is asked for." } else { "Needs an API key." };
        push(out, format_args!("<p class=\"quiet\">{key}</p>\n"));
        self.parameters(out, it);
        if let Some(body) = it.get("requestBody") {
            let need = if body.is("required") { "required" } else { "optional" };
            push(out, format_args!("<h4>Body <small>{need}</small></h4>\n"));
            self.content(out, body);
        }
        out.push_str("<h4>Answers</h4>\n");
        for (status, response) in it.get("responses").map(Node::fields).unwrap_or_default() {
            self.answer(out, status, response.resolved(self.root));
        }
        out.push_str("</section>\n");
    }

    fn parameters(&self, out: &mut String, operation: &Node) {
        let parameters = operation.get("parameters").map(Node::items).unwrap_or_default();
        if parameters.is_empty() {
            return;
        }
        out.push_str("<h4>Parameters</h4>\n<dl>\n");
        for parameter in parameters {
            let it = parameter.resolved(self.root);
            let need = if it.is("required") { ", required" } else { "" };
            push(
                out,
                format_args!(
                    "<dt><code>{}</code> <small>{}{need}, {}</small></dt>\n<dd>{}{}</dd>\n",
                    escaped(it.text("name")),
                    escaped(it.text("in")),
                    kind(it.get("schema").unwrap_or(&Node::Null)),
                    inline(it.text("description")),
                    example_of(it)
                ),
            );
        }
        out.push_str("</dl>\n");
    }

    /// One answer: success is open, refusals open on a click.
    fn answer(&self, out: &mut String, status: &str, response: &Node) {
        let open = if status.starts_with('2') { " open" } else { "" };
        push(
            out,
            format_args!(
                "<details{open}><summary><b class=\"s{}\">{status}</b> {}</summary>\n",
                status.get(..1).unwrap_or_default(),
                inline(response.text("description"))
            ),
        );
        let headers = response.get("headers").map(Node::fields).unwrap_or_default();
        if !headers.is_empty() {
            out.push_str("<dl>\n");
        }
        for (name, header) in headers {
            let it = header.resolved(self.root);
            push(
                out,
                format_args!(
                    "<dt><code>{}</code> <small>header</small></dt>\n<dd>{}{}</dd>\n",
                    escaped(name),
                    inline(it.text("description")),
                    example_of(it)
                ),
            );
        }
        if !headers.is_empty() {
            out.push_str("</dl>\n");
        }
        self.content(out, response);
        out.push_str("</details>\n");
    }

    fn content(&self, out: &mut String, of: &Node) {
        for (media_type, media) in of.get("content").map(Node::fields).unwrap_or_default() {
            let schema = media.get("schema").unwrap_or(&Node::Null);
            push(
                out,
                format_args!(
                    "<p class=\"quiet\"><code>{}</code>: {}</p>\n",
                    escaped(media_type),
                    kind(schema)
                ),
            );
            for (name, example) in media.get("examples").map(Node::fields).unwrap_or_default() {
                let value = example.resolved(self.root).get("value").unwrap_or(&Node::Null);
                let text = value.pretty();
                push(
                    out,
                    format_args!(
                        "<figure><figcaption>Example {}</figcaption><pre tabindex=\"0\">{}</pre></figure>\n",
                        escaped(name),
                        escaped(&text)
                    ),
                );
            }
        }
    }

    fn schemas(&self) -> String {
        let mut out = "<h2 id=\"objects\">Objects</h2>\n".to_owned();
        let components = self.root.get("components").and_then(|it| it.get("schemas"));
        for (name, schema) in components.map(Node::fields).unwrap_or_default() {
            push(
                &mut out,
                format_args!(
                    "<section id=\"object-{0}\">\n<h3><a href=\"#object-{0}\">{0}</a></h3>\n{1}",
                    escaped(name),
                    prose(schema.text("description"))
                ),
            );
            properties(&mut out, schema);
            out.push_str("</section>\n");
        }
        out
    }
}

/// The fields of an object, and of the objects in it.
fn properties(out: &mut String, schema: &Node) {
    let fields = schema.get("properties").map(Node::fields).unwrap_or_default();
    if fields.is_empty() {
        push(out, format_args!("<p class=\"quiet\">{}</p>\n", kind(schema)));
        return;
    }
    let required = schema.get("required").map(Node::items).unwrap_or_default();
    out.push_str("<dl>\n");
    for (name, field) in fields {
        let is_required = required.iter().any(|it| it.plain() == *name);
        let need = if is_required { "" } else { ", optional" };
        push(
            out,
            format_args!(
                "<dt><code>{}</code> <small>{}{need}</small></dt>\n<dd>{}",
                escaped(name),
                kind(field),
                inline(field.text("description"))
            ),
        );
        if field.get("properties").is_some() {
            properties(out, field);
        }
        out.push_str("</dd>\n");
    }
    out.push_str("</dl>\n");
}

/// What a schema asks for, in a few words.
fn kind(schema: &Node) -> String {
    if let Some(name) = schema.referred() {
        return format!("<a href=\"#object-{0}\">{0}</a>", escaped(name));
    }
    let of_all = schema.get("oneOf").map(Node::items).unwrap_or_default();
    if !of_all.is_empty() {
        return of_all.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    let mut words = match schema.get("type") {
        Some(Node::List(types)) => types.iter().map(Node::plain).collect::<Vec<_>>().join(" or "),
        Some(it) => it.plain(),
        None => "anything".to_owned(),
    };
    if let Some(items) = schema.get("items") {
        words = format!("{words} of {}", kind(items));
    }
    for (name, label) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "characters from"),
        ("maxLength", "characters up to"),
        ("maxProperties", "fields up to"),
        ("default", "by default"),
        ("pattern", "as"),
    ] {
        if let Some(value) = schema.get(name) {
            push(&mut words, format_args!(", {label} <code>{}</code>", escaped(&value.plain())));
        }
    }
    let values = schema.get("enum").map(Node::items).unwrap_or_default();
    let values: Vec<String> =
        values.iter().map(|it| format!("<code>{}</code>", escaped(&it.plain()))).collect();
    if values.is_empty() { words } else { format!("{words}: {}", values.join(", ")) }
}

fn example_of(it: &Node) -> String {
    it.get("example").map_or_else(String::new, |it| {
        format!(" <span class=\"quiet\">Example: <code>{}</code></span>", escaped(&it.plain()))
    })
}

/// Writing to a String does not fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).unwrap_or_default();
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

/// Paragraphs.
fn prose(text: &str) -> String {
    text.split("\n\n").filter(|it| !it.is_empty()).fold(String::new(), |mut out, paragraph| {
        push(&mut out, format_args!("<p>{}</p>\n", inline(paragraph)));
        out
    })
}

/// The two marks of Markdown that the document uses: `code` and **bold**.
fn inline(text: &str) -> String {
    marked(&marked(&escaped(text), "`", "code"), "**", "strong")
}

fn marked(text: &str, mark: &str, tag: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split(mark).enumerate() {
        if at > 0 {
            push(&mut out, format_args!("<{}{tag}>", if at % 2 == 1 { "" } else { "/" }));
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        render(&Node::read(crate::api::OPENAPI).unwrap())
    }

    #[test]
    fn every_operation_and_object_has_its_place_and_every_link_leads_somewhere() {
        let page = page();

        let root = Node::read(crate::api::OPENAPI).unwrap();
        for operation in (Page { root: &root }).operations() {
            let id = operation.it.text("operationId");
            assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
        }
        for link in page.split("href=\"#").skip(1).filter_map(|it| it.split('"').next()) {
            assert!(page.contains(&format!("id=\"{link}\"")), "{link}");
        }
    }

    #[test]
    fn the_page_loads_its_own_stylesheet_and_nothing_else() {
        let page = page();

        for loading in ["src=", "<script", "style=", "@import", "url("] {
            assert!(!page.contains(loading), "{loading}");
        }
        assert_eq!(page.matches("<link ").count(), 1);
    }

    #[test]
    fn the_documents_text_stays_text() {
        assert_eq!(
            inline("<b> `a & b` **c**"),
            "&lt;b&gt; <code>a &amp; b</code> <strong>c</strong>"
        );
    }
}
