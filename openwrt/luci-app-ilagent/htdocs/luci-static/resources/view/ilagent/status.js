'use strict';
'require fs';
'require poll';
'require view';
'require ilagent.logic as logic';

const SECONDS = 5;

function ask() {
	return fs.exec('/etc/init.d/ilagent', [ 'agent_status' ]).catch(error => ({
		code: 1,
		stderr: String(error.message || error)
	}));
}

/* Words of the agent hold what came from outside, so they are only ever text. */
function tables(result) {
	return logic.answer(result).map(section => E('div', { 'class': 'cbi-section' }, [
		E('h3', {}, [ section.title ]),
		E('table', { 'class': 'table' }, section.rows.map(([ name, words ]) =>
			E('tr', { 'class': 'tr' }, [
				E('td', { 'class': 'td left', 'width': '25%' }, [ name ]),
				E('td', { 'class': 'td left' }, [ words ])
			])))
	]));
}

return view.extend({
	load: ask,

	render(result) {
		const body = E('div', {}, tables(result));
		poll.add(() => ask().then(next => body.replaceChildren(...tables(next))), SECONDS);
		return E('div', {}, [ E('h2', {}, [ _('ilagent') ]), body ]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
