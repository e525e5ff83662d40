// Apps with a login and a session of their own, behind the gateway's: how one logs in to them, and whom they know.

/**
 * `page` asks for a login in the app or says who is logged in, `openPage` is one that the gateway leaves open to
 * everybody, `tap` hears what the app is told.
 */
export function appsWithTheirOwnSession(world) {
  return [
    {
      name: 'the wiki',
      origin: world.wiki,
      page: `${world.wiki}/doku.php?id=start`,
      openPage: `${world.wiki}/lib/exe/opensearch.php`,
      tap: world.taps.wiki,
      async logsIn(tab, name) {
        await tab.goto(`${world.wiki}/doku.php?id=start&do=login`);
        await tab.fill('#dw__login [name=u]', name);
        await tab.fill('#dw__login [name=p]', `${name}-password`);
        await tab.check('#dw__login [name=r]');
        await tab.click('#dw__login button[type=submit]');
        await tab.getByText('Logged in as').first().waitFor();
      },
      knows: (page) => words(page).match(/Logged in as: \w+ \((\w+)\)/)?.[1],
      greets: (page) => words(page).includes('primed by hand'),
    },
    {
      name: 'the servlet app',
      origin: world.tomcat,
      page: `${world.tomcat}/examples/jsp/security/protected/index.jsp`,
      tap: world.taps.tomcat,
      async logsIn(tab, name) {
        await tab.goto(this.page);
        await tab.fill('[name=j_username]', name);
        await tab.fill('[name=j_password]', `${name}-password`);
        await tab.click('[type=submit]');
        await tab.getByText('You are logged in as').waitFor();
      },
      knows: (page) => words(page).match(/logged in as remote user (\w+)/)?.[1],
      greets: (page) => words(page).includes('Login Page for Examples'),
    },
  ];
}

function words(page) {
  return page.replace(/<[^>]*>/g, '').replace(/\s+/g, ' ');
}
