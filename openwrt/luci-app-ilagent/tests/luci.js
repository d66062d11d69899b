'use strict';

/* Stands in for what LuCI gives to its views, and records what they do with it. */

const fs = require('node:fs');
const path = require('node:path');

const app = path.join(__dirname, '..');
const resources = path.join(app, 'htdocs/luci-static/resources');

/* The part of LuCI's String.prototype.format that the views use. */
if (!String.prototype.format)
	Object.defineProperty(String.prototype, 'format', {
		value(...values) {
			return this.replace(/%[sd]/g, () => String(values.shift()));
		}
	});

/* Loads a module as LuCI does: the 'require' lines name its arguments, and it returns its class. */
function load(file, modules) {
	const text = fs.readFileSync(path.join(resources, file), 'utf8');
	const names = [];
	const needed = [];
	for (const [ , module, , name ] of text.matchAll(/^'require ([\w.]+)( as (\w+))?';$/gm)) {
		needed.push(module);
		names.push(name || module);
	}
	const globals = { _: words => words, E: element };
	const run = new Function(...Object.keys(globals), ...names, text);
	return run(...Object.values(globals), ...needed.map(module => {
		if (!(module in modules))
			throw new Error(`${file} needs ${module}`);
		return modules[module];
	}));
}

/* An element as LuCI's E() makes it: only children in a list are text, anything else would be HTML. */
function element(tag, attributes, children) {
	if (!Array.isArray(children))
		throw new Error(`<${tag}> is given HTML`);
	return {
		tag, attributes, children,
		replaceChildren(...next) {
			this.children = next;
		},
		get text() {
			return this.children.map(child => typeof child === 'string' ? child : child.text).join(' ');
		}
	};
}

const baseclass = { extend: members => members };
const view = { extend: members => members };
const logic = () => load('ilagent/logic.js', { baseclass });

/* LuCI's forms: sections with their options, which can be asked for. */
function forms(stored) {
	const kinds = [ 'Value', 'ListValue', 'Flag', 'DynamicList', 'NamedSection', 'GridSection' ];
	const form = Object.fromEntries(kinds.map(kind => [ kind, { kind } ]));
	const maps = [];
	form.Map = class {
		constructor(config, title, description) {
			Object.assign(this, { config, title, description, sections: [] });
			maps.push(this);
		}
		section(kind, name, type, title, description) {
			const section = { kind: kind.kind, name, type, title, description, options: [] };
			section.option = (widget, option, title, description) => {
				const made = { kind: widget.kind, name: option, title, description, values: [], conditions: [] };
				made.value = value => made.values.push(value);
				made.depends = condition => made.conditions.push(condition);
				section.options.push(made);
				return made;
			};
			this.sections.push(section);
			return section;
		}
		render() {
			return this;
		}
	};
	const uci = {
		load: config => Promise.resolve(config),
		sections: (config, type) => stored.filter(section => section['.type'] === type)
	};
	return { form, uci, maps };
}

module.exports = { app, resources, load, logic, view, forms };
