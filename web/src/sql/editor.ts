// CodeMirror over the field of a form. It stands in a shadow root: there its styles are sheets, which the pages' policy allows, and no <style>.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { SQLDialect, sql } from "@codemirror/lang-sql";
import { HighlightStyle, bracketMatching, syntaxHighlighting } from "@codemirror/language";
import { EditorState } from "@codemirror/state";
import { EditorView, drawSelection, keymap, placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export interface Table {
  readonly name: string;
  readonly about: string;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

export type Editor = typeof edit;

const DuckDB = SQLDialect.define({
  keywords:
    "select from where group by all order having limit offset qualify window over partition rows range between unbounded preceding following current row as distinct on" +
    " join inner left right full outer cross asof positional semi anti using lateral natural union intersect except with recursive key values case when then else end" +
    " and or not in is null exists like ilike similar to asc desc nulls first last filter within cast try_cast interval describe show tables summarize explain analyze" +
    " pivot unpivot exclude replace columns lambda sample true false into name at",
  types: "bigint hugeint ubigint integer int smallint tinyint double float decimal boolean varchar text json blob date time timestamp timestamptz uuid variant map struct",
  builtin:
    "count sum avg min max median quantile_cont list string_agg arg_max arg_min any_value first_value last_value lag lead row_number rank dense_rank coalesce nullif" +
    " round floor ceil abs greatest least length lower upper trim split_part starts_with regexp_matches regexp_extract regexp_replace date_trunc date_diff epoch epoch_ms" +
    " now today strftime unnest range list_contains list_transform map_keys map_values variant_typeof histogram",
  slashComments: false,
  charSetCasts: false,
  doubleQuotedStrings: false,
  identifierQuotes: '"',
});

const theme = EditorView.theme({
  "&": { fontSize: "0.92rem", backgroundColor: "var(--ground)", color: "var(--text)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace", lineHeight: "1.5", minHeight: "9.5rem", maxHeight: "26rem" },
  ".cm-content": { padding: ".5rem 0", caretColor: "var(--text)" },
  ".cm-line": { padding: "0 .6rem" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--line)" },
  ".cm-placeholder": { color: "var(--faint)" },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--line)" },
  ".cm-tooltip": { backgroundColor: "var(--ground)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "4px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "ui-monospace, Menlo, Consolas, monospace", fontSize: ".88rem", maxHeight: "14rem" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--border)", color: "var(--ground)" },
  ".cm-completionDetail": { color: "inherit", opacity: ".75", fontStyle: "normal" },
});
const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--link)", fontWeight: "600" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--good)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--past)" },
  { tag: [tags.lineComment, tags.blockComment], color: "var(--faint)", fontStyle: "italic" },
  { tag: tags.typeName, color: "var(--link)" },
]);

/** Put an editor in the place of a field, which holds its text from here on. `run` is what Ctrl-Enter does. */
export function edit(field: HTMLTextAreaElement, tables: readonly Table[], run: () => void): EditorView {
  const holder = document.createElement("div");
  holder.className = "editor";
  const root = holder.attachShadow({ mode: "open" });
  const schema = Object.fromEntries(
    tables.map((table) => [
      table.name.replace(/\(.*$/s, ""),
      table.columns.map((column) => ({ label: column.name, detail: column.type.toLowerCase(), type: "property" })),
    ]),
  );
  const go = (): boolean => {
    run();
    return true;
  };
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: field.value,
      extensions: [
        keymap.of([
          { key: "Mod-Enter", run: go },
          { key: "Tab", run: acceptCompletion }, // Where nothing is offered it moves on, as everywhere.
          ...closeBracketsKeymap,
          ...completionKeymap,
          ...historyKeymap,
          ...defaultKeymap,
        ]),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ icons: false }),
        sql({ dialect: DuckDB, schema, upperCaseKeywords: false }),
        syntaxHighlighting(colours),
        EditorView.lineWrapping,
        placeholder(field.placeholder),
        theme,
        EditorState.changeFilter.of((change) => change.newDoc.length <= Math.max(field.maxLength, change.startState.doc.length)),
        EditorView.contentAttributes.of({ "aria-label": field.labels[0]?.textContent ?? "Question", spellcheck: "false", autocapitalize: "off" }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) field.value = update.state.doc.toString();
        }),
      ],
    }),
  });
  const focused = document.activeElement === field;
  field.before(holder);
  field.hidden = true;
  field.labels[0]?.addEventListener("click", () => view.focus());
  if (focused) view.focus();
  return view;
}
