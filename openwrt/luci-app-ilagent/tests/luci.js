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

/*
 * UCI as LuCI has it in the browser: what is stored, and what was added and not saved yet.
 */
function memory(stored) {
	return {
		load: config => Promise.resolve(config),
		sections: (config, type) => stored.filter(section => !type || section['.type'] === type),
		get(config, id, option) {
			const found = stored.find(section => section['.name'] === id);
			return found ? found[option] : null;
		},
		add(config, type, name) {
			stored.push({ '.type': type, '.name': name });
			return name;
		}
	};
}

/*
 * LuCI's forms, as its form.js has them where the page depends on it: `modalonly` has three values (true: only in the
 * dialog; false: only in the table; null or not set: in both), cells of a grid are read-only text ("none" where
 * there is no value and no default), a dialog has copies of the options with their own properties, and
 * loads each before it draws it; a field is shown when one of its conditions holds.
 */
function forms(stored) {
	const uci = memory(stored);
	const maps = [];

	class Option {
		constructor(section, name, title, description) {
			Object.assign(this, { section, option: name, title, description });
			this.deps = [];
			this.rmempty = true;
		}
		value(key, words) {
			this.keylist = this.keylist || [];
			this.vallist = this.vallist || [];
			this.keylist.push(String(key));
			this.vallist.push(String(words == null ? key : words));
		}
		depends(condition) {
			this.deps.push(condition);
		}
		load(id) {
			return uci.get('ilagent', id, this.option);
		}
		cfgvalue(id, value) {
			this.data = this.data || {};
			if (arguments.length === 2)
				this.data[id] = value;
			return this.data[id];
		}
		textvalue(id) {
			const value = this.cfgvalue(id) == null ? this.default : this.cfgvalue(id);
			return value == null ? null : String(value);
		}
		get kind() {
			return this.constructor.name;
		}
	}
	class Value extends Option {}
	class ListValue extends Value {}
	class Flag extends Value {}
	class DynamicList extends Value {}

	class Section {
		constructor(name, type, title, description) {
			Object.assign(this, { name, type, title, description, children: [] });
		}
		option(Widget, ...words) {
			const made = new Widget(this, ...words);
			this.children.push(made);
			return made;
		}
		find(name) {
			return this.children.find(option => option.option === name);
		}
		async loadAll(id) {
			for (const option of this.children)
				option.cfgvalue(id, await option.load(id));
		}
	}
	class NamedSection extends Section {}
	class GridSection extends Section {
		columns() {
			return this.children.filter(option => !option.modalonly);
		}
		/* What the table shows: its heads, the row of descriptions below them if there is one, its rows. */
		async table() {
			const rows = [];
			for (const { '.name': id } of uci.sections('ilagent', this.name)) {
				await this.loadAll(id);
				rows.push(this.columns().map(option => option.textvalue(id) == null ? 'none' : option.textvalue(id)));
			}
			const descriptions = this.nodescriptions ? null : this.columns().map(option => option.description);
			return { heads: this.columns().map(option => option.title), descriptions, rows };
		}
		/* What a click on "Add" or "Edit" opens. */
		async dialog(id) {
			const copies = new NamedSection(id, this.name);
			for (const option of this.children) {
				if (option.modalonly === false)
					continue;
				const copy = copies.option(option.constructor, option.option, option.title, option.description);
				for (const key of Object.keys(option))
					if (![ 'section', 'option', 'title', 'description' ].includes(key))
						copy[key] = option[key];
			}
			await copies.loadAll(id);
			const values = {};
			for (const option of copies.children)
				values[option.option] = option.cfgvalue(id) == null ? option.default : option.cfgvalue(id);
			const holds = condition => Object.entries(condition).every(([ name, value ]) => (values[name] || '') === value);
			return {
				values,
				fields: () => copies.children.filter(option => !option.deps.length || option.deps.some(holds)).map(option => option.option),
				choices: name => copies.find(name).keylist,
				find: name => copies.find(name)
			};
		}
		add(name) {
			return this.dialog(uci.add('ilagent', this.name, name));
		}
	}

	class Map {
		constructor(config, title, description) {
			Object.assign(this, { config, title, description, sections: [] });
			maps.push(this);
		}
		section(Kind, ...words) {
			const section = new Kind(...words);
			this.sections.push(section);
			return section;
		}
		render() {
			return this;
		}
	}
	return { form: { Map, NamedSection, GridSection, Value, ListValue, Flag, DynamicList }, uci, maps };
}

module.exports = { app, resources, load, logic, view, forms };
